import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Engine, HostArray } from "../../graph/index.ts";
import { createEngine } from "../../graph/node.ts";
import { loadModel } from "../../models/load.ts";
import { createScorer, openReward, type RewardInput } from "../../reward/index.ts";
import { preferences, tinyModel } from "../tiny.fixture.ts";
import { rewardEnsemble } from "./reward-ensemble.ts";

const model = tinyModel();
const inputs: RewardInput[] = preferences
  .slice(0, 5)
  .map(({ prompt, chosen }) => ({ prompt, completion: chosen }));
const basics = {
  model,
  data: preferences,
  evalData: preferences.slice(0, 8),
  learningRate: 3e-3,
  batchSize: 8,
  maxSteps: 2,
  members: 3,
};

let engine: Engine;
let folder: string;
beforeAll(async () => {
  engine = await createEngine({ threads: 1 });
  folder = await mkdtemp(join(tmpdir(), "ensemble-"));
});
afterAll(async () => {
  await engine.dispose();
  await rm(folder, { recursive: true });
});

const headOf = ({ parameters }: { parameters: Readonly<Record<string, HostArray>> }) => [
  ...((parameters["score.weight"] as HostArray).data as Float32Array),
];

describe("an ensemble of models of their own", () => {
  it("has members that differ, each a model that loads alone, and opens as one reward from its folder", {
    timeout: 90_000,
  }, async () => {
    const outputDir = join(folder, "apart");
    const steps: number[] = [];
    const result = await rewardEnsemble(
      { ...basics, engine, outputDir, combine: "uwo", lambda: 0.25 },
      {
        onStep: ({ step, totalSteps, metrics }) =>
          void steps.push(step, totalSteps, metrics.member as number),
      },
    );
    expect(result.members).toHaveLength(3);
    expect(steps.slice(-3)).toEqual([6, 6, 3]);
    const [first, second] = result.members.map(headOf);
    expect(first).not.toEqual(second);
    expect(result.report?.ensemble?.accuracy).toHaveLength(3);

    // Each member alone, normalised on its own, and the ensemble made of them by hand.
    const tokenizer = model.tokenizer as NonNullable<typeof model.tokenizer>;
    const rows = inputs.map(({ prompt, completion }) => [
      ...tokenizer.encode(prompt),
      ...tokenizer.encode(completion),
      tokenizer.eosId as number,
    ]);
    const scores: number[][] = [];
    for (const n of [1, 2, 3]) {
      const member = await loadModel(join(outputDir, "members", String(n)));
      expect(member.config.raw.std).toBeGreaterThan(0);
      const scorer = await createScorer(engine, member);
      scores.push(await scorer.scores(rows));
      await scorer.dispose();
    }
    const mean = rows.map((_, i) => scores.reduce((sum, of) => sum + (of[i] as number), 0) / 3);
    const variance = rows.map(
      (_, i) => scores.reduce((sum, of) => sum + ((of[i] as number) - (mean[i] as number)) ** 2, 0) / 3,
    );
    const opened = await openReward(outputDir, { engine });
    const parts = await opened.parts?.(inputs);
    for (const i of rows.keys()) {
      expect(parts?.scores[i]).toBeCloseTo((mean[i] as number) - 0.25 * (variance[i] as number), 4);
      expect(parts?.disagreement?.[i]).toBeCloseTo(variance[i] as number, 4);
    }
    const worst = await openReward(`ensemble:${outputDir}?combine=wco`, { engine });
    expect((await worst.score(inputs))[0]).toBeCloseTo(Math.min(...scores.map((of) => of[0] as number)), 4);
    await opened.dispose();
    await worst.dispose();
    await expect(loadModel(outputDir)).rejects.toThrow(
      /an ensemble of reward models, name one of its members: .*1/,
    );
  });

  it("is refused when its file is none", async () => {
    const dir = await mkdtemp(join(folder, "bad-"));
    await writeFile(join(dir, "ensemble.json"), '{"members": ["a"]}');
    await expect(openReward(dir, { engine })).rejects.toThrow(/ensemble\.json: members: /);
    await writeFile(join(dir, "ensemble.json"), "{");
    await expect(openReward(dir, { engine })).rejects.toThrow(/JSON is required/);
    await expect(rewardEnsemble({ ...basics, members: 1 })).rejects.toThrow(/at least 2 is required, got 1/);
    await expect(rewardEnsemble({ ...basics, normalizeRewards: false })).rejects.toThrow(/no common scale/);
  });
});

describe("an ensemble that shares its backbone", () => {
  it("is one checkpoint with several labels, each normalised, whose mean is what its metrics are of", async () => {
    const outputDir = join(folder, "shared");
    let disagreement = 0;
    const { report, model: trained } = await rewardEnsemble(
      { ...basics, engine, outputDir, sharedBackbone: true, combine: "wco" },
      { onStep: ({ metrics }) => void (disagreement = metrics.disagreement as number) },
    );
    expect(disagreement).toBeGreaterThan(0);
    expect(trained.parameters["score.weight"]?.shape).toEqual([3, 32]);
    const config = JSON.parse(await readFile(join(outputDir, "model", "config.json"), "utf8"));
    expect(config).toMatchObject({
      architectures: ["LlamaForSequenceClassification"],
      id2label: { 0: "member 1", 2: "member 3" },
      ensemble: { combine: "wco" },
    });
    expect(config.mean).toHaveLength(3);
    const opened = await openReward(outputDir, { engine });
    const parts = await opened.parts?.(inputs);
    expect(Object.keys(parts?.parts ?? {})).toEqual(["member 1", "member 2", "member 3"]);
    expect(parts?.scores[0]).toBe(
      Math.min(...Object.values(parts?.parts ?? {}).map((of) => of[0] as number)),
    );
    await opened.dispose();
    expect(report?.ensemble?.accuracy).toHaveLength(3);
  });
});
