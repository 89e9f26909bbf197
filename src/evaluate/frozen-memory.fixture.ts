/**
 * A program of its own that asks a frozen Llama for the log-probabilities of a few responses and prints its memory in MB,
 * before the weights are in a program and after: `node --import scripts/register-ts.js frozen-memory.fixture.ts
 * '{"hiddenSize": 512, "numLayers": 8, "vocabSize": 8000, "int8": true}'`.
 */
import { frozenWeights } from "../generate/weights.ts";
import { openLocalEngine } from "../graph/engine/node-providers.ts";
import type { Tensor, Tree } from "../graph/index.ts";
import { configOf } from "../models/config/config.ts";
import { initialParameters } from "../models/model.ts";
import { createTokenPass, logProbsFigure } from "./token-pass.ts";

const { int8, ...sizes } = JSON.parse(process.argv[2] as string) as {
  readonly hiddenSize: number;
  readonly numLayers: number;
  readonly vocabSize: number;
  readonly int8: boolean;
};
const config = configOf("llama", { ...sizes, numHeads: 8, maxPositions: 128 });
const engine = await openLocalEngine({ threads: 1 });
const parameters = initialParameters(config, 1);
const numbers = Object.values(parameters).reduce((n, { data }) => n + data.length, 0);
const megabytes = () => {
  (globalThis as { gc?: () => void }).gc?.();
  return process.memoryUsage.rss() / 2 ** 20;
};
const before = megabytes();
const started = performance.now();
const { arrays, read } = frozenWeights({ config, parameters }, int8);
const pass = await createTokenPass(
  engine,
  logProbsFigure(config, (all: Tree<Tensor>) => read(all.fixed as Tree<Tensor>)),
  { weights: {}, fixed: arrays, batchSize: 4 },
);
const opened = (performance.now() - started) / 1000;
const rows = Array.from({ length: 4 }, (_, i) => ({
  promptIds: [1 + i, 2, 3],
  ids: Array.from({ length: 12 }, (_, t) => (7 * i + 3 * t) % config.vocabSize),
}));
const found = await pass.run({}, rows, 1);
const after = megabytes();
console.log(
  JSON.stringify({ parameters: numbers, before, after, opened, logProbs: found.map((row) => [...row]) }),
);
await pass.dispose();
await engine.dispose();
