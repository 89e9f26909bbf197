import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Engine } from "../graph/index.ts";
import { createEngine } from "../graph/node.ts";
import { rows, tinyModel } from "../train/tiny.fixture.ts";
import type { Evaluation, Response } from "./evaluate.ts";
import { checkRecipe } from "./recipe.ts";
import { runRecipe } from "./run.ts";

let folder: string;
let engine: Engine;
let run: Awaited<ReturnType<typeof evaluated>>;
const kinds = ["animal", "bird"];
const prompts = ["The cat", "A dog", "The hen", "A bird sings", "The fish", "A cow"].map((prompt, i) => ({
  prompt,
  kind: kinds[i % 2],
}));

/** A stage that learns and two that learn nothing, each measured at a temperature on some of the prompts. */
async function evaluated(name: string, more: Record<string, unknown>) {
  const still = { model: "sft", data: join(folder, "rows.jsonl"), max_steps: 1, learning_rate: 1e-30 };
  const recipe = checkRecipe(
    {
      output_dir: join(folder, name),
      evaluate: {
        prompts: join(folder, "prompts.jsonl"),
        reward: "rule:length",
        max_new_tokens: 8,
        perplexity: join(folder, "rows.jsonl"),
        ...more,
      },
      stages: {
        sft: {
          model: join(folder, "base"),
          data: join(folder, "rows.jsonl"),
          max_steps: 6,
          learning_rate: 1e-2,
        },
        same: { trainer: "sft", ...still },
        moved: { trainer: "sft", ...still, max_steps: 6, learning_rate: 1e-2 },
      },
    },
    "test.yaml",
  );
  const { evaluations } = await runRecipe(recipe, { engine });
  const stage = (of: string) => join(folder, name, "stages", of);
  const responses = async (of: string): Promise<Response[]> =>
    (await readFile(join(stage(of), "responses.jsonl"), "utf8"))
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
  return {
    evaluations: evaluations as Record<"sft" | "same" | "moved", Evaluation>,
    responses: {
      sft: await responses("sft"),
      same: await responses("same"),
      moved: await responses("moved"),
    },
  };
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "attune-evaluate-"));
  engine = await createEngine({ threads: 1 });
  await tinyModel().save(join(folder, "base"));
  const lines = (list: readonly object[]) => list.map((row) => `${JSON.stringify(row)}\n`).join("");
  await writeFile(join(folder, "rows.jsonl"), lines(rows));
  await writeFile(join(folder, "prompts.jsonl"), lines(prompts));
  run = await evaluated("sampled", { num_prompts: 5 });
}, 60_000);
afterAll(async () => {
  await engine.dispose();
  await rm(folder, { recursive: true, force: true });
});

const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;
const scores = (list: readonly Response[]) => list.map((row) => row.scores.overall as number);

describe("how a stage's model is measured", () => {
  it("every stage answers the same prompts, as many as are asked for, with chances of its own", () => {
    const { sft, same, moved } = run.responses;
    expect(sft).toHaveLength(5);
    expect(same.map(({ prompt }) => prompt)).toEqual(sft.map(({ prompt }) => prompt));
    expect(moved.map(({ prompt }) => prompt)).toEqual(sft.map(({ prompt }) => prompt));
    // The same weights as sft, and yet other answers.
    expect(same.map(({ completion }) => completion)).not.toEqual(sft.map(({ completion }) => completion));
  });

  it("reward, win rate, length and the share that ended are those of the responses that are kept", () => {
    for (const stage of ["sft", "same", "moved"] as const) {
      const [found, kept] = [run.evaluations[stage], run.responses[stage]];
      expect(found.prompts).toBe(5);
      expect(found.reward?.overall.mean).toBeCloseTo(mean(scores(kept)), 10);
      expect(found.length.mean).toBeCloseTo(mean(kept.map(({ tokens }) => tokens)), 10);
      expect(found.share_terminated).toBeCloseTo(mean(kept.map(({ terminated }) => Number(terminated))), 10);
      const words = kept.flatMap(({ completion }) => completion.split(/\s+/).filter((word) => word !== ""));
      expect(found.distinct_1).toBeCloseTo(new Set(words).size / words.length, 10);
    }
    const against = scores(run.responses.sft);
    const wins = scores(run.responses.moved).map((score, i) =>
      score === against[i] ? 0.5 : Number(score > (against[i] as number)),
    );
    expect(run.evaluations.moved.win_rate).toMatchObject({ against: "sft", rate: mean(wins), n: 5 });
    expect(run.evaluations.sft.win_rate).toBeUndefined(); // its own start is no stage
  });

  it("kinds of prompts are measured apart, and together are all of them", () => {
    const byKind = run.evaluations.moved.by_kind ?? {};
    expect(Object.keys(byKind)).toEqual(kinds);
    expect(Object.values(byKind).reduce((n, { count }) => n + count, 0)).toBe(5);
    for (const kind of kinds)
      expect(byKind[kind]?.overall.mean).toBeCloseTo(
        mean(scores(run.responses.moved.filter((row) => row.kind === kind))),
        10,
      );
  });

  it("a stage that has learned nothing is no nats from the reference and as perplexed; one that has is farther", () => {
    const { sft, same, moved } = run.evaluations;
    expect(sft.kl).toBeUndefined();
    expect(Math.abs(same.kl?.value as number)).toBeLessThan(1e-5);
    expect(same.perplexity).toBeCloseTo(sft.perplexity as number, 5);
    expect(moved.kl).toMatchObject({ against: "sft", unit: "nats per response" });
    expect(moved.kl?.value).toBeGreaterThan(1e-3);
    expect(moved.perplexity).not.toBeCloseTo(sft.perplexity as number, 3);
  });

  it("at temperature 0 the same weights give the same answers, which tie", async () => {
    const { evaluations, responses } = await evaluated("greedy", { temperature: 0 });
    expect(responses.same.map(({ completion }) => completion)).toEqual(
      responses.sft.map(({ completion }) => completion),
    );
    expect(evaluations.same.win_rate).toMatchObject({ rate: 0.5, n: 6 });
    expect(evaluations.moved.kl).toBeUndefined(); // the most likely answers alone have no distribution
  }, 60_000);
});
