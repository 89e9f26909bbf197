/**
 * What both sides of the benchmarks of reinforcement learning and preference learning are given: the same checkpoints,
 * the same pairs in the same batches, the same prompts. Written into a folder by Attune's process.
 *
 * The small policy is a real model; the larger one has random weights but for the row of end-of-text, which is set so
 * that about one token in 65 is one, and responses are as ragged as those of the real model.
 */
import { createWriteStream, existsSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { epochBatches } from "../src/data/batches.ts";
import { loadPreferences, type Pair, pairLength, readRawRows } from "../src/data/index.ts";
import {
  compile,
  type Engine,
  type HostArray,
  hostArray,
  type Tensor,
  unflatten,
} from "../src/graph/index.ts";
import { randomBits } from "../src/graph/random.ts";
import {
  configOf,
  createModel,
  loadModel,
  type Model,
  modelOf,
  withParameters,
} from "../src/models/index.ts";
import { hiddenStates, initialParameters, parameterSpecs } from "../src/models/model.ts";

const shared = "../shared/data";
const smallModel = `${shared}/tinystories-656k`;
const stories = `${shared}/tinystories/tinystories_cased_2M.txt.gz`;
const pairFiles = ["helpful", "harmless"].map((kind) => `${shared}/hh-single-turn/${kind}-train_gt.jsonl.gz`);

export const sizes = ["0.7m", "5.6m"] as const;

/** Where a size's checkpoints are, and what both sizes share. */
export const workOf = (folder: string, size: string) => ({
  policy: join(folder, size, "policy"),
  reward: join(folder, size, "reward"),
  /** Pairs as rows of text, for Attune, which shuffles them, and in the order of its batches, for others. */
  rows: join(folder, "pairs.jsonl"),
  pairs: join(folder, "pairs-in-order.jsonl"),
  prompts: join(folder, "prompts.jsonl"),
});

export interface WorkOptions {
  readonly folder: string;
  readonly seed: number;
  /** Pairs of a batch, and batches. */
  readonly batch: number;
  readonly steps: number;
  readonly prompts: number;
  readonly promptTokens: number;
}

/** Pairs of which a response is longer are left out: half the small model's context. */
const longest = 256;

export async function writeWork(engine: Engine, options: WorkOptions): Promise<void> {
  const missing = [smallModel, stories, ...pairFiles].filter((path) => !existsSync(path));
  if (missing.length > 0) throw new Error(`the benchmark's data is not there: ${missing.join(", ")}`);
  const { folder } = options;
  const stamp = join(folder, "complete.json");
  const key = JSON.stringify(options);
  if ((await readFile(stamp, "utf8").catch(() => "")) === key) return;
  const small = await loadModel(smallModel);
  await mkdir(folder, { recursive: true });
  for (const [size, policy] of [
    ["0.7m", small],
    ["5.6m", await largerModel(engine, small)],
  ] as const) {
    const { policy: there, reward } = workOf(folder, size);
    await policy.save(there);
    await rewardModel(policy).save(reward);
  }
  await writePairs(small, options);
  await writePrompts(small, options);
  await writeFile(stamp, key);
}

/** The policy's layers under a new head for scores. */
function rewardModel(policy: Model): Model {
  const { raw, family } = policy.config;
  const { hiddenSize, numLayers, numHeads, vocabSize, maxPositions } = policy.config;
  const config = configOf(
    family,
    { hiddenSize, numLayers, numHeads, vocabSize, maxPositions, numLabels: 1, padTokenId: 0 },
    { ...raw, architectures: ["LlamaForSequenceClassification"], num_labels: 1, pad_token_id: 0 },
  );
  const fresh = initialParameters(config, 1);
  const parameters = Object.fromEntries(
    Object.keys(fresh).map((name) => [name, (policy.parameters[name] ?? fresh[name]) as HostArray]),
  );
  return modelOf({ config, parameters, ...(policy.tokenizer && { tokenizer: policy.tokenizer }) });
}

async function largerModel(engine: Engine, { tokenizer }: Model): Promise<Model> {
  const config = configOf("llama", {
    vocabSize: 2048,
    hiddenSize: 256,
    numLayers: 6,
    numHeads: 8,
    intermediateSize: 768,
    maxPositions: 512,
    tieEmbeddings: true,
    bosTokenId: 1,
    eosTokenId: 2,
    padTokenId: 0,
  });
  const model = createModel(config, 0, tokenizer);
  const name = "model.embed_tokens.weight";
  const table = (model.parameters[name] as HostArray<"float32">).data.slice();
  // A direction that all tokens share survives the layers; the head's row of end-of-text is turned towards it.
  for (let i = 0; i < table.length; i++) table[i] = (table[i] as number) + 0.1;
  const shifted = withParameters(model, {
    ...model.parameters,
    [name]: { dtype: "float32", shape: [2048, 256], data: table },
  });
  const mean = await meanHidden(engine, shifted);
  const length2 = mean.reduce((sum, x) => sum + x * x, 0);
  const logit = Math.log(2047 / 64);
  const data = table.slice();
  for (const [i, x] of mean.entries())
    data[2 * 256 + i] = (data[2 * 256 + i] as number) + (logit * x) / length2;
  return withParameters(shifted, {
    ...shifted.parameters,
    [name]: { dtype: "float32", shape: [2048, 256], data },
  });
}

/** The mean last hidden state over random tokens. */
async function meanHidden(engine: Engine, { config, parameters }: Model): Promise<Float64Array> {
  const program = compile(
    (params, { ids }) => ({ hidden: hiddenStates(config, params, { input_ids: ids as Tensor }) }),
    [parameterSpecs(config), { ids: { dtype: "int64", shape: ["B", "T"] } }] as const,
  );
  const executable = await engine.load(program);
  const ids = hostArray(
    "int64",
    [8, 32],
    Array.from({ length: 256 }, (_, i) => 3 + (randomBits(7, i) % 2000)),
  );
  const { hidden } = (await engine.run(executable, [unflatten(parameters), { ids }])) as {
    hidden: HostArray;
  };
  await engine.unload(executable);
  const mean = new Float64Array(config.hiddenSize);
  for (const [i, x] of (hidden.data as Float32Array).entries())
    mean[i % mean.length] = (mean[i % mean.length] as number) + x / 256;
  return mean;
}

const writeLines = (path: string, rows: readonly unknown[]): Promise<void> =>
  new Promise((resolve, reject) => {
    const stream = createWriteStream(path).on("error", reject).on("finish", resolve);
    for (const row of rows) stream.write(`${JSON.stringify(row)}\n`);
    stream.end();
  });

async function writePairs({ tokenizer }: Model, { folder, batch, steps, seed }: WorkOptions): Promise<void> {
  const each = (batch * steps) / pairFiles.length;
  const kept: Pair[] = [];
  for (const file of pairFiles) {
    const { pairs } = await loadPreferences(file, tokenizer as never, { onBadRow: "skip", maxLength: 512 });
    kept.push(...[...pairs].filter((pair) => pairLength(pair) <= longest).slice(0, each));
  }
  const { rows, pairs } = workOf(folder, "");
  await writeLines(
    rows,
    kept.map(({ texts }) => texts),
  );
  const order = epochBatches(kept.map(pairLength), batch, seed, 0, { groupByLength: false }).flat();
  await writeLines(
    pairs,
    order.map((i) => {
      const { texts, prompt, chosen, rejected } = kept[i] as Pair;
      return { ...texts, chosen_ids: [...prompt, ...chosen], rejected_ids: [...prompt, ...rejected] };
    }),
  );
}

/** Prompts that end 20 tokens before a story does, so that about half of the real model's responses end too. */
async function writePrompts({ tokenizer }: Model, options: WorkOptions): Promise<void> {
  const { folder, prompts: count, promptTokens } = options;
  const before = 20;
  const prompts: { input_ids: number[] }[] = [];
  for await (const { value } of readRawRows(stories, { separator: "<|endoftext|>" })) {
    const ids = tokenizer?.encode((value as { text: string }).text.trim()) ?? [];
    if (ids.length < before + promptTokens + 1) continue;
    prompts.push({ input_ids: ids.slice(-before - promptTokens, -before) });
    if (prompts.length === count) break;
  }
  await writeLines(workOf(folder, "").prompts, prompts);
}
