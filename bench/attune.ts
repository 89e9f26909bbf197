/** Attune as a contestant: the commands that its process answers, hosted by `serve.ts`. */
import { availableParallelism } from "node:os";
import * as ort from "onnxruntime-node";
import {
  type Engine,
  type Executable,
  hostArray,
  LocalEngine,
  mapTree,
  type Resident,
  type Tree,
  unflatten,
  type Value,
  zerosArray,
} from "../src/graph/index.ts";
import { randomBits } from "../src/graph/random.ts";
import { configOf } from "../src/models/config.ts";
import { initialParameters, parameterSpecs, tokenSpec } from "../src/models/model.ts";
import { adamw, packing } from "../src/optim/index.ts";
import { languageModelLoss } from "../src/train/language-model.ts";
import { compileTrainStep, packedLoss } from "../src/train/step.ts";
import { closeGenerator, type GenerateRequest, generate } from "./attune-generate.ts";
import type { ModelSize } from "./cases.ts";
import { matmulPeak } from "./peak.ts";
import type { Commands } from "./peer.ts";

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

async function training({ model, tokens, batch }: TrainRequest): Promise<Training> {
  const key = JSON.stringify([model, tokens, batch]);
  if (kept?.key === key) return kept;
  await kept?.engine.dispose();
  const config = configFor(model);
  const optimizer = adamw();
  const packed = packing(parameterSpecs(config), optimizer.groupOf);
  const { specs } = packed;
  const engine = new LocalEngine(ort, {
    threads,
    ...(process.env.PROFILE && { profile: process.env.PROFILE }),
  });
  const program = compileTrainStep(packedLoss(languageModelLoss(config), packed), { optimizer, maxGradNorm: 1 }, specs, {
    input_ids: tokenSpec(),
    labels: tokenSpec(),
  });
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
  kept = {
    key,
    engine,
    step,
    state: [params, state],
    batch: {
      input_ids: hostArray("int64", [batch, tokens], ids),
      labels: hostArray("int64", [batch, tokens], labels),
    },
  };
  return kept;
}

const rate = { learning_rate: hostArray("float32", [], [1e-4]) };

async function trainStep(request: TrainRequest) {
  const run = await training(request);
  const start = performance.now();
  let loss = Number.NaN;
  for (let i = 0; i < request.steps; i++) {
    const out = await run.engine.run(run.step, [...run.state, run.batch, rate]);
    run.state = [out.params as Tree<Value>, out.state as Tree<Value>];
    loss = ((out.metrics as Tree<Value>).loss as { data: Float32Array }).data[0] as number;
  }
  return { seconds: (performance.now() - start) / 1000 / request.steps, loss };
}

/** A generate command with the weights in the given form. */
const generateIn = (mode: string): Commands[string] => {
  return (request) => {
    const { model, ...wanted } = request as unknown as GenerateRequest & { model: ModelSize };
    return generate(configFor(model), { ...wanted, mode }, threads);
  };
};

export const commands: Commands = {
  matmul: async () => ({ gflops: await matmulPeak(threads) }),
  train_step: (request) => trainStep(request as unknown as TrainRequest),
  generate: generateIn("fp32"),
  generate_int8: generateIn("int8"),
  generate_resident: generateIn("resident"),
  close: async () => {
    await kept?.engine.dispose();
    await closeGenerator();
    return {};
  },
};
