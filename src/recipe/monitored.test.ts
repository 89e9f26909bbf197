import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { Engine } from "../graph/index.ts";
import { createEngine } from "../graph/node.ts";
import { loadModel } from "../models/load.ts";
import { tinyModel } from "../train/tiny.fixture.ts";
import { checkRecipe } from "./recipe.ts";
import { runRecipe } from "./run.ts";
import { stageKinds } from "./stages/index.ts";

let folder: string;
let engine: Engine;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "attune-monitored-"));
  engine = await createEngine({ threads: 1 });
  await tinyModel().save(join(folder, "base"));
  const prompts = ["The cat", "A dog", "The hen"].map((prompt) => `${JSON.stringify({ prompt })}\n`).join("");
  await writeFile(join(folder, "prompts.jsonl"), prompts);
});
afterAll(async () => {
  await engine.dispose();
  await rm(folder, { recursive: true, force: true });
});

const recipe = (name: string, monitor: object) =>
  checkRecipe(
    {
      output_dir: join(folder, name),
      stages: {
        ppo: {
          model: join(folder, "base"),
          data: join(folder, "prompts.jsonl"),
          reward: "rule:length",
          response_length: 6,
          batch_size: 3,
          learning_rate: 1e-2,
          max_steps: 6,
          monitor,
        },
      },
    },
    "watched.yaml",
  );
const linesOf = async (name: string) =>
  (await readFile(join(folder, name, "stages/ppo/monitor.jsonl"), "utf8"))
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));

it("a watched run is the same run, and what was seen is in monitor.jsonl, also after it was stopped", async () => {
  const stop = new AbortController();
  const watched = recipe("whole", { gold: "rule:complete" });
  const onStep = (_: string, { step }: { step: number }) => step === 3 && stop.abort();
  await runRecipe(watched, { engine, signal: stop.signal, onStep });
  const { stages } = await runRecipe(watched, { engine, resume: true });
  expect(stages[0]).toMatchObject({ status: "done", steps: 6 });
  const lines = await linesOf("whole");
  expect(lines.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6]);
  expect(lines[0]).toMatchObject({
    gold: expect.any(Number),
    kl: expect.any(Number),
    length: expect.any(Number),
  });
}, 60_000);

it("a run ends early beyond the distance that is allowed, with its model", async () => {
  const notes: string[] = [];
  const { reason, stages } = await runRecipe(recipe("early", { stop_at_d: 1e-3 }), {
    engine,
    note: (line) => notes.push(line),
  });
  expect(reason).toBe("done");
  expect(stages[0]?.status).toBe("done");
  expect(stages[0]?.steps).toBeLessThan(6);
  expect(notes.join("\n")).toContain("stopped early: d = ");
  expect((await loadModel(join(folder, "early/stages/ppo"))).config.vocabSize).toBeGreaterThan(0);
}, 60_000);

it("every trainer that optimises a reward can be watched, and no other", () => {
  const watched = Object.values(stageKinds)
    .filter(({ keys }) => "monitor" in keys.shape)
    .map(({ name }) => name);
  expect(watched.sort()).toEqual(
    ["expert-iteration", "grpo", "nash-md", "online-dpo", "ppo", "reinforce", "rloo", "trpo"].sort(),
  );
  for (const name of ["sft", "reward", "pairs", "dpo"]) expect(watched).not.toContain(name);
});

it("an end by the KL is refused where none is computed, and nats per token are taken for what they are", async () => {
  const grpo = (more: object) =>
    checkRecipe(
      {
        output_dir: join(folder, "grpo"),
        stages: {
          grpo: {
            model: join(folder, "base"),
            data: join(folder, "prompts.jsonl"),
            reward: "rule:length",
            max_completion_length: 6,
            num_generations: 2,
            batch_size: 4,
            learning_rate: 1e-2,
            max_steps: 3,
            monitor: { stop_at_d: 100 },
            ...more,
          },
        },
      },
      "groups.yaml",
    );
  expect(() => grpo({})).toThrow(/groups.yaml: grpo: monitor: stop_at_d needs the KL .* set beta above 0/);
  await runRecipe(grpo({ beta: 1e-3 }), { engine });
  const read = async (name: string) =>
    (await readFile(join(folder, "grpo/stages/grpo", name), "utf8"))
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
  const [seen, logged] = [await read("monitor.jsonl"), await read("metrics.jsonl")];
  expect(seen.at(-1).kl).toBeGreaterThan(0);
  for (const [i, { kl }] of seen.entries())
    expect(kl).toBeCloseTo(logged[i].kl * logged[i]["completions/mean_length"], 12);
}, 60_000);
