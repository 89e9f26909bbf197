/** Attune as a contestant: the commands that its process answers, hosted by `serve.ts`. */
import { availableParallelism } from "node:os";
import {
  type Engine,
  type Executable,
  hostArray,
  mapTree,
  type Resident,
  type Tree,
  unflatten,
  type Value,
  zerosArray,
} from "../src/graph/index.ts";
import { createEngine } from "../src/graph/node.ts";
import { randomBits } from "../src/graph/random.ts";
import { configOf } from "../src/models/config/config.ts";
import { saveOnnx } from "../src/models/export/folder.ts";
import { createModel } from "../src/models/load.ts";
import { initialParameters, parameterSpecs, tokenSpec } from "../src/models/model.ts";
import { adamw, packing } from "../src/optim/index.ts";
import { languageModelLoss } from "../src/train/loop/language-model.ts";
import { compileTrainScan, compileTrainStep, packedLoss } from "../src/train/loop/step.ts";
import { closeGenerator, type GenerateRequest, generate } from "./attune-generate.ts";
import { optimumOf } from "./attune-optimum.ts";
import {
  dpoUpdates,
  grpoIterations,
  ppoIterations,
  prepareRlhf,
  type RlhfRequest,
  rewardUpdates,
  rlooIterations,
} from "./attune-rlhf.ts";
import type { ModelSize } from "./cases.ts";
import { matmulPeak } from "./peak.ts";
import type { Answer, Commands } from "./peer.ts";
import type { WorkOptions } from "./rlhf-work.ts";
import {
  type GoldRequest,
  goldOf,
  ppoToReward,
  prepareToReward,
  type ToRewardRequest,
} from "./to-reward/attune.ts";
import type { TaskOptions } from "./to-reward/task.ts";

export const ready = `attune, Node ${process.versions.node}`;

const threads = Number(process.env.ATTUNE_BENCH_THREADS) || availableParallelism();

interface TrainRequest {
  readonly model: ModelSize;
  readonly tokens: number;
  readonly batch: number;
  readonly steps: number;
  readonly mode: string;
}

const configFor = ({ layers, width, heads, vocab, positions }: ModelSize) =>
  configOf("gpt2", {
    vocabSize: vocab,
    hiddenSize: width,
    numLayers: layers,
    numHeads: heads,
    maxPositions: positions,
  });

/** A compiled step with its state; one is kept, for the case that is being measured. */
interface Training {
  readonly key: string;
  readonly engine: Engine;
  readonly step: Executable;
  state: Tree<Value>[];
  readonly batch: Tree<Value>;
}

let kept: Training | undefined;

async function training({ model, tokens, batch, steps }: TrainRequest, scan: boolean): Promise<Training> {
  const key = JSON.stringify([model, tokens, batch, scan && steps]);
  if (kept?.key === key) return kept;
  await kept?.engine.dispose();
  const config = configFor(model);
  const optimizer = adamw();
  const packed = packing(parameterSpecs(config), optimizer.groupOf);
  const { specs } = packed;
  const engine = await createEngine({
    worker: false,
    threads,
    ...(process.env.PROFILE && { profile: process.env.PROFILE }),
  });
  const compileAny = scan ? compileTrainScan : compileTrainStep;
  const loss = packedLoss(languageModelLoss(config), packed);
  const batchSpecs = { input_ids: tokenSpec(), labels: tokenSpec() };
  const program = compileAny(loss, { optimizer, maxGradNorm: 1 }, specs, batchSpecs);
  const step = await engine.load(program);
  const params: Tree<Resident> = await engine.put(packed.packArrays(unflatten(initialParameters(config, 0))));
  const zeros = mapTree(optimizer.init(specs), ({ dtype, shape }) => zerosArray(dtype, shape as number[]));
  const state: Tree<Resident> = await engine.put(zeros);
  const ids = BigInt64Array.from({ length: batch * tokens }, (_, i) =>
    BigInt(randomBits(1, i) % model.vocab),
  );
  const labels = BigInt64Array.from({ length: batch * tokens }, (_, i) =>
    (i + 1) % tokens === 0 ? -100n : (ids[i + 1] as bigint),
  );
  const repeated = <A extends BigInt64Array>(values: A) =>
    scan
      ? BigInt64Array.from({ length: steps * values.length }, (_, i) => values[i % values.length] as bigint)
      : values;
  const shape = scan ? [steps, batch, tokens] : [batch, tokens];
  kept = {
    key,
    engine,
    step,
    state: [params, state],
    batch: {
      input_ids: hostArray("int64", shape, repeated(ids)),
      labels: hostArray("int64", shape, repeated(labels)),
    },
  };
  return kept;
}

const learningRate = 1e-4;
const rate = { learning_rate: hostArray("float32", [], [learningRate]) };
const lossOf = (metrics: Value | Tree<Value>): number =>
  ((metrics as Tree<Value>).loss as { data: Float32Array }).data.at(-1) as number;

/** Every step is a run of the graph. */
async function trainStep(request: TrainRequest) {
  const run = await training(request, false);
  const start = performance.now();
  let loss = Number.NaN;
  for (let i = 0; i < request.steps; i++) {
    const out = await run.engine.run(run.step, [...run.state, run.batch, rate]);
    run.state = [out.params as Tree<Value>, out.state as Tree<Value>];
    loss = lossOf(out.metrics as Tree<Value>);
  }
  return { seconds: (performance.now() - start) / 1000 / request.steps, loss };
}

/** All steps are one run of a graph that loops. */
async function trainScan(request: TrainRequest) {
  const { steps } = request;
  const run = await training(request, true);
  const [params, state] = run.state as [Tree<Value>, Tree<Value>];
  const rates = hostArray("float32", [steps], new Float32Array(steps).fill(learningRate));
  const start = performance.now();
  const out = await run.engine.run(run.step, [
    { params, state },
    { batch: run.batch, learning_rate: rates },
  ]);
  const carry = out.carry as { params: Tree<Value>; state: Tree<Value> };
  run.state = [carry.params, carry.state];
  const loss = lossOf((out.ys as Tree<Value>).metrics as Tree<Value>);
  return { seconds: (performance.now() - start) / 1000 / steps, loss };
}

/** A generate command with the weights in the given form. */
const generateIn = (mode: string): Commands[string] => {
  return (request) => {
    const { model, ...wanted } = request as unknown as GenerateRequest & { model: ModelSize };
    return generate(configFor(model), { ...wanted, mode }, threads);
  };
};

/** Traces, differentiates, lowers and compiles the train step of GPT-2, whose weights are not needed for that. */
async function compileGpt2() {
  const config = configFor({ layers: 12, width: 768, heads: 12, vocab: 50257, positions: 1024 });
  const engine = await createEngine({ threads, worker: false });
  const start = performance.now();
  const optimizer = adamw();
  const packed = packing(parameterSpecs(config), optimizer.groupOf);
  const loss = packedLoss(languageModelLoss(config), packed);
  const batch = { input_ids: tokenSpec(), labels: tokenSpec() };
  await engine.load(compileTrainStep(loss, { optimizer, maxGradNorm: 1 }, packed.specs, batch));
  const seconds = (performance.now() - start) / 1000;
  await engine.dispose();
  return { seconds };
}

/** A command of a trainer's benchmark. */
const rlhfCommand =
  (run: (request: RlhfRequest, threads: number) => Promise<Answer>): Commands[string] =>
  (request) =>
    run(request as unknown as RlhfRequest, threads);

/** Writes a model of random weights as `attune export` does. */
async function exportModel({ model, folder }: { model: ModelSize; folder: string }) {
  await saveOnnx(createModel(configFor(model), 0), folder, { int8: false });
  return {};
}

export const commands: Commands = {
  matmul: async () => ({ gflops: await matmulPeak(threads) }),
  train_step: (request) => trainStep(request as unknown as TrainRequest),
  train_scan: (request) => trainScan(request as unknown as TrainRequest),
  compile: compileGpt2,
  export: (request) => exportModel(request as unknown as { model: ModelSize; folder: string }),
  generate: generateIn("fp32"),
  generate_int8: generateIn("int8"),
  generate_resident: generateIn("resident"),
  optimum: (request) => optimumOf(request as unknown as { trainer: string; seed: number }, threads),
  prepare_rlhf: (request) => prepareRlhf(request as unknown as WorkOptions, threads),
  dpo: rlhfCommand(dpoUpdates),
  reward: rlhfCommand(rewardUpdates),
  ppo: rlhfCommand(ppoIterations),
  prepare_to_reward: (request) => prepareToReward(request as unknown as TaskOptions, threads),
  ppo_to_reward: (request) => ppoToReward(request as unknown as ToRewardRequest, threads),
  gold: (request) => goldOf(request as unknown as GoldRequest, threads),
  grpo: rlhfCommand(grpoIterations as never),
  rloo: rlhfCommand(rlooIterations as never),
  close: async () => {
    await kept?.engine.dispose();
    await closeGenerator();
    return {};
  },
};
