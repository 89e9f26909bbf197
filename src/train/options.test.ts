/** Options that every trainer has, each on every trainer: a trainer joins by a row. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Engine } from "../graph/index.ts";
import { createEngine } from "../graph/node.ts";
import { loadModel, type Model } from "../models/load.ts";
import { dpo } from "./dpo.ts";
import { expertIteration } from "./expert-iteration.ts";
import { grpo } from "./grpo.ts";
import type { TrainerOptions } from "./loop/trainer-options.ts";
import { nashMd } from "./nash-md.ts";
import { onlineDpo } from "./online-dpo.ts";
import { ppo } from "./ppo.ts";
import { pretrain } from "./pretrain.ts";
import { reward } from "./reward.ts";
import { sft } from "./sft.ts";
import { preferences, rows, sentences, tinyModel } from "./tiny.fixture.ts";

let folder: string;
let engine: Engine;
beforeAll(async () => {
  engine = await createEngine({ threads: 1 });
  folder = await mkdtemp(join(tmpdir(), "attune-options-"));
});
afterAll(async () => {
  await engine.dispose();
  await rm(folder, { recursive: true, force: true });
});

const model = tinyModel();
const evalData = rows.slice(0, 4);
const pairs = { data: preferences, evalData: preferences.slice(0, 4) };
const longer = (batch: readonly { readonly completion: string }[]) =>
  batch.map(({ completion }) => completion.length);
const rollouts = {
  prompts: sentences.slice(0, 8).map((text) => ({ prompt: text.slice(0, 9) })),
  reward: longer,
  responseLength: 8,
  numPpoEpochs: 1,
};

const groups = {
  ...rollouts,
  maxCompletionLength: 8,
  numGenerations: 2,
  batchSize: 8,
  numPpoEpochs: undefined,
};
const online = {
  ...rollouts,
  numPpoEpochs: undefined,
  reward: (batch: readonly { readonly completion: string }[]) =>
    batch.map(
      ({ completion }) => (completion.match(/[aeiou]/g)?.length ?? 0) / Math.max(1, completion.length),
    ),
  promptsPerStep: 4,
  beta: 0.1,
};
const kept = { numGenerations: 4, terminatedOnly: false };

type Ended = { readonly model: Model; readonly metrics: Readonly<Record<string, number>> };
const trainers: Record<string, (options: TrainerOptions) => Promise<Ended>> = {
  pretrain: (options) => pretrain({ ...options, model, data: rows, evalData }),
  sft: (options) => sft({ ...options, model, data: rows, evalData }),
  reward: (options) => reward({ ...options, ...pairs, model, normalizeRewards: false }),
  dpo: (options) => dpo({ ...options, ...pairs, model }),
  ppo: (options) => ppo({ ...options, ...rollouts, model }),
  grpo: (options) => grpo({ ...options, ...groups, model }),
  "online-dpo": (options) => onlineDpo({ ...options, ...online, model }),
  "nash-md": (options) => nashMd({ ...options, ...online, model }),
  "expert-iteration": (options) => expertIteration({ ...options, ...online, ...kept, model }),
};

const basics: TrainerOptions = { batchSize: 4, maxSteps: 3, evalSteps: 3, learningRate: 1e-3, seed: 7 };
const values = ({ parameters }: Model): number[] =>
  Object.values(parameters).flatMap(({ data }) => Array.from(data as Float32Array));
const largest = (a: readonly number[], b: readonly number[]): number =>
  a.reduce((worst, x, i) => Math.max(worst, Math.abs(x - (b[i] as number))), 0);

describe.each(Object.entries(trainers))("%s", (name, train) => {
  const run = (options: TrainerOptions) => train({ ...basics, engine, ...options });

  it("is optimised by Lion: no weight moves by more than the rate a step", async () => {
    const rate = {
      optimizer: "lion",
      weightDecay: 0,
      lrSchedulerType: "constant",
      loadBestModelAtEnd: false,
    } as const;
    const { model: after } = await run({ ...rate, learningRate: 2e-3 });
    const before = Object.entries(after.parameters).flatMap(([path, { data }]) =>
      Array.from((model.parameters[path]?.data ?? data) as Float32Array),
    );
    const moved = largest(values(after), before);
    expect(moved).toBeGreaterThan(1.9e-3);
    expect(moved).toBeLessThan(3 * 2e-3 + 1e-6);
  });

  it("computes layers again with gradient checkpointing, and ends where it would end without", async () => {
    const [plain, again] = [await run({}), await run({ gradientCheckpointing: true })];
    expect(largest(values(plain.model), values(again.model))).toBeLessThan(2e-5);
  });

  it("takes auto for the rows of logits, and refuses other words", async () => {
    const [plain, auto] = [await run({}), await run({ logitsChunkSize: "auto" })];
    expect(auto.metrics.loss).toBe(plain.metrics.loss); // a small vocabulary needs no chunks: the same graph
    await expect(run({ logitsChunkSize: "some" as "auto" })).rejects.toThrow(
      /logits_chunk_size: a whole number of at least 1, or "auto", is required, got some/,
    );
  });

  it("computes logits in chunks that do not divide the rows, and ends where it would end without", async () => {
    const [plain, chunked] = [await run({}), await run({ logitsChunkSize: 7 })];
    expect(largest(values(plain.model), values(chunked.model))).toBeLessThan(2e-5);
    expect(chunked.metrics.mean_token_accuracy).toBe(plain.metrics.mean_token_accuracy);
  });

  it("gives the moving average of its weights, and saves the last ones beside it", async () => {
    const outputDir = join(folder, name);
    const plain = await run({ loadBestModelAtEnd: false });
    const averaged = await run({ emaDecay: 0.9, outputDir, loadBestModelAtEnd: false });
    const last = await loadModel(join(outputDir, "last"));
    expect(values(last)).toEqual(values(plain.model));
    expect(values(await loadModel(outputDir))).toEqual(values(averaged.model));
    const all = largest(values(last), values(averaged.model));
    expect(all).toBeGreaterThan(0);
    // With the average of no step but the last, both are the same.
    const none = await run({ emaDecay: 0, loadBestModelAtEnd: false });
    expect(largest(values(none.model), values(plain.model))).toBeLessThan(1e-6);
  });
});

it("evaluations judge the moving average", async () => {
  const judged = await sft({ ...basics, engine, model, data: rows, evalData, emaDecay: 0.9 });
  const again = await sft({ ...basics, engine, model: judged.model, data: rows, evalData, learningRate: 0 });
  expect(again.metrics.eval_loss).toBeCloseTo(judged.metrics.eval_loss as number, 5);
});
