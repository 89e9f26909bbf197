/**
 * The whole pipeline in seconds: a new model learns a handful of sentences, then to answer with their ends, and then,
 * by a reward model and PPO, or directly by DPO, that of all places the barn is preferred.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createGenerator } from "attune/generate";
import { type Engine, unflatten } from "attune/graph";
import { loadModel, type Model } from "attune/models";
import { createScorer, type ScoredModel } from "attune/reward";
import { dpo, ppo, pretrain, reward, sft } from "attune/train";
import { afterAll, beforeAll, expect, it } from "vitest";
import { createEngine } from "../src/graph/node.ts";

const animals = ["cat", "dog", "hen", "fox", "owl", "pig"];
const places = ["barn", "garden", "house", "mill"];
const verbs = ["sleeps", "sings"];
const prompts = animals.flatMap((animal) => verbs.map((verb) => `The ${animal} ${verb} in the`));
const trained = prompts.slice(0, 9);
const heldOut = prompts.slice(9);
const ends = places.map((place) => ` ${place}.`);

const documents = prompts.flatMap((prompt) => ends.map((end) => ({ text: prompt + end })));
const demonstrations = trained.flatMap((prompt) => ends.map((completion) => ({ prompt, completion })));
const preferred = (list: readonly string[]) =>
  list.flatMap((prompt) =>
    ends.slice(1).map((rejected) => ({ prompt, chosen: ends[0] as string, rejected })),
  );

let folder: string;
let engine: Engine;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "attune-tiny-"));
  engine = await createEngine({ threads: 1 });
});
afterAll(async () => {
  await engine.dispose();
  await rm(folder, { recursive: true, force: true });
});

/** What the model writes behind held-out prompts, 8 responses each. */
async function answers({ config, parameters, tokenizer }: Model): Promise<string[]> {
  const generator = createGenerator(engine, config, unflatten(parameters));
  const rows = heldOut.flatMap((prompt) => Array<number[]>(8).fill(tokenizer?.encode(prompt) ?? []));
  const completions = await generator.generate(rows, { maxNewTokens: 12, seed: 3 });
  return completions.map(({ ids }) => tokenizer?.decode([...ids], { skipSpecialTokens: true }) ?? "");
}
const share = (texts: readonly string[], wanted: readonly string[]) =>
  texts.filter((text) => wanted.includes(text)).length / texts.length;

it("pretrain, sft, reward, ppo and dpo: each stage is better than the one before at what it is for", async () => {
  const common = { engine, batchSize: 16 };
  const at = (name: string) => ({ outputDir: join(folder, name) });
  const sizes = { hiddenSize: 32, numLayers: 2, numHeads: 2, intermediateSize: 64, maxPositions: 32 };

  const base = await pretrain({
    ...common,
    ...at("base"),
    model: { ...sizes, vocabSize: 300 },
    data: documents,
    numEpochs: 50,
    learningRate: 1e-2,
    batchSize: 4,
  });
  expect(base.metrics.loss).toBeLessThan(1.5);

  const tuned = await sft({
    ...common,
    ...at("sft"),
    model: base.model,
    data: demonstrations,
    evalData: heldOut.flatMap((prompt) => ends.map((completion) => ({ prompt, completion }))),
    numEpochs: 8,
    learningRate: 5e-3,
  });
  const before = await answers(tuned.model);
  expect(share(before, ends)).toBeGreaterThan(0.8);
  expect(share(before, ends.slice(0, 1))).toBeLessThan(0.6);

  const judge = await reward({
    ...common,
    ...at("reward"),
    model: tuned.model,
    data: preferred(trained),
    evalData: preferred(heldOut),
    numEpochs: 4,
    learningRate: 5e-3,
  });
  expect(judge.report?.accuracy).toBe(1);
  const scorer = await createScorer(engine, judge.model as ScoredModel);
  const encode = (text: string) => judge.model.tokenizer?.encode(text) ?? [];
  const scores = await scorer.scores(ends.map((end) => encode(`${heldOut[0]}${end}`)));
  expect(scores.indexOf(Math.max(...scores))).toBe(0);
  await scorer.dispose();

  const aligned = await ppo({
    ...common,
    ...at("ppo"),
    model: tuned.model,
    prompts: trained.map((prompt) => ({ prompt })),
    reward: join(folder, "reward"),
    responseLength: 8,
    maxSteps: 12,
    learningRate: 5e-3,
    klCoef: 0.02,
    batchSize: 36,
  });
  const direct = await dpo({
    ...common,
    ...at("dpo"),
    model: tuned.model,
    data: preferred(trained),
    evalData: preferred(heldOut),
    numEpochs: 6,
    learningRate: 2e-3,
  });
  expect(direct.metrics["eval_rewards/accuracies"]).toBe(1);
  for (const [name, { model }] of Object.entries({ aligned, direct })) {
    const written = await answers(model);
    expect(share(written, ends.slice(0, 1)), `${name}: ${written.slice(0, 8)}`).toBeGreaterThan(
      share(before, ends.slice(0, 1)) + 0.25,
    );
    const saved = await loadModel(join(folder, name === "aligned" ? "ppo" : "dpo"));
    expect(saved.parameters).toEqual(model.parameters);
  }
}, 120_000);
