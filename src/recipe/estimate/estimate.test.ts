import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { Engine } from "../../graph/index.ts";
import { createEngine } from "../../graph/node.ts";
import { preferences, rows, tinyModel } from "../../train/tiny.fixture.ts";
import { checkRecipe } from "../recipe.ts";
import { estimateRecipe } from "./estimate.ts";

let folder: string;
let engine: Engine;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "attune-estimates-"));
  engine = await createEngine({ threads: 1 });
  const jsonl = (list: readonly object[]) => list.map((row) => `${JSON.stringify(row)}\n`).join("");
  await tinyModel().save(join(folder, "model"));
  await writeFile(join(folder, "rows.jsonl"), jsonl(rows));
  await writeFile(join(folder, "pairs.jsonl"), jsonl(preferences));
  await writeFile(
    join(folder, "told.jsonl"),
    jsonl(preferences.map(({ prompt, chosen }) => ({ prompt, completion: chosen }))),
  );
});
afterAll(async () => {
  await engine.dispose();
  await rm(folder, { recursive: true, force: true });
});

const at = (name: string) => join(folder, name);
const size = { vocab_size: 300, hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2 };
const recipe = () =>
  checkRecipe(
    {
      output_dir: "unused",
      evaluate: { prompts: at("pairs.jsonl"), reward: "judge", num_prompts: 6, max_new_tokens: 8 },
      stages: {
        base: { trainer: "pretrain", data: at("rows.jsonl"), ...size, num_train_epochs: 30 },
        sft: {
          model: "base",
          data: at("told.jsonl"),
          eval_data: at("told.jsonl"),
          batch_size: 4,
          num_train_epochs: 20,
        },
        judge: { trainer: "reward", model: "sft", data: at("pairs.jsonl"), members: 2, max_steps: 7 },
        samples: {
          trainer: "pairs",
          model: "sft",
          reward: "rule:complete",
          data: at("pairs.jsonl"),
          response_length: 8,
          batch_size: 8,
          num_samples: 2,
        },
        dpo: { model: "sft", data: "samples", batch_size: 8, num_train_epochs: 50 },
        grpo: {
          model: "sft",
          reward: "judge",
          data: at("pairs.jsonl"),
          max_completion_length: 8,
          batch_size: 8,
          num_generations: 4,
          max_steps: 40,
        },
      },
    },
    "estimate.yaml",
  );

it("every stage is told by its name, with the steps that the run will make, memory and time", async () => {
  const before = (await readdir(tmpdir())).filter((name) => name.startsWith("attune-estimate-"));
  const { stages, memory, seconds, available } = await estimateRecipe(recipe(), { engine, budget: 0 });
  expect(stages.map(({ name, steps }) => [name, steps])).toEqual([
    ["base", 30],
    ["sft", 20 * 6],
    ["judge", 2 * 7],
    ["samples", 24],
    ["dpo", 50 * 3],
    ["grpo", 40],
  ]);
  for (const stage of stages) {
    expect(stage.seconds).toBeGreaterThan(stage.steps * (stage.step_seconds as number));
    expect(stage.memory).toBeGreaterThan(30e6);
  }
  expect(stages.filter(({ evaluate_seconds }) => evaluate_seconds).map(({ name }) => name)).toEqual([
    "base",
    "sft",
    "dpo",
    "grpo",
  ]);
  const all = stages.reduce(
    (sum, { seconds = 0, evaluate_seconds = 0 }) => sum + seconds + evaluate_seconds,
    0,
  );
  expect(seconds).toBeCloseTo(all, 1);
  expect(memory).toBe(Math.max(...stages.map((stage) => stage.memory)));
  expect(available).toBeGreaterThan(memory);
  // Nothing is left behind.
  const after = (await readdir(tmpdir())).filter((name) => name.startsWith("attune-estimate-"));
  expect(after).toEqual(before);
});

it("without a probe memory alone is told", async () => {
  const { stages, memory, seconds } = await estimateRecipe(recipe(), { engine, probe: false });
  expect(seconds).toBeUndefined();
  expect(memory).toBeGreaterThan(30e6);
  for (const stage of stages) expect(Object.keys(stage)).toEqual(["name", "trainer", "steps", "memory"]);
});
