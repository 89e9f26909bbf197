/**
 * Prompts with their responses as batches, and the log-probabilities of those responses.
 *
 * A run is a prompt and its responses (two of a pair, any number of a ranking) as branches that do not see each other,
 * laid into ragged rows (src/data/packed-rows.ts): the real tokens alone, and a prompt once where sharing it costs less than
 * the longer rows do. A response's last token predicts nothing and is left out. Hidden states of the last layer are those
 * that predict a token of a response.
 *
 *     run        p0 p1 p2 | c0 c1 | r0 r1 r2        chosen c0 c1 c2, rejected r0 r1 r2 r3
 *     position    0  1  2    3  4    3  4  5
 *     predicts       c0,r0  c1 c2   r1 r2 r3
 */
import type { RowList } from "../../data/list.ts";
import { packGroups, raggedArrays, raggedRows, raggedSpecs } from "../../data/packed-rows.ts";
import type { Pair } from "../../data/pair.ts";
import type { Source } from "../../data/rows.ts";
import {
  type Dim,
  div,
  exp,
  full,
  gather,
  type HostArray,
  hostArray,
  logSoftmax,
  logSumExp,
  maximum,
  mul,
  reshape,
  scatterAddRows,
  slice,
  stopGradient,
  sub,
  type Tensor,
  type TensorSpec,
  type Tree,
  tokenLogProbs,
} from "../../graph/index.ts";
import type { ModelConfig } from "../../models/config/config.ts";
import type { RaggedBatch } from "../../models/families/ragged.ts";
import { hiddenStates, logitFigures } from "../../models/model.ts";
import type { Rows } from "../loop/plan.ts";
import type { Sides } from "./preference-losses.ts";

/** A prompt and its responses, as token ids. */
export interface Run {
  readonly prompt: Int32Array;
  readonly responses: readonly Int32Array[];
}

/** What of a pair a batch needs. */
export type PairIds = Pick<Pair, "prompt" | "chosen" | "rejected">;

export const pairRun = ({ prompt, chosen, rejected }: PairIds): Run => ({
  prompt,
  responses: [chosen, rejected],
});

/** How batches are made. */
export interface BatchOptions {
  /** Responses of a run, at most; shorter lists leave columns of nothing. Default 2. */
  readonly columns?: number;
  /**
   * LD-DPO's discount: what a token counts that stands beyond the length of the other response (Liu et al. 2024, eq. 9,
   * the shared part and alpha times the rest). Without it no token has a weight.
   */
  readonly ldAlpha?: number | undefined;
  /** The tokens of the prompt, after its first, count too, in a column behind those of the responses. */
  readonly prompts?: boolean;
}

const listSpec: TensorSpec = { dtype: "int64", shape: ["L"] };
const countOf = ({ columns = 2, prompts = false }: BatchOptions): number => columns + Number(prompts);

/**
 * B runs as ragged rows; L tokens that count; K columns. `picks` say which hidden states of those that are read predict
 * them, `tokens` the tokens, `owners` K b + k for response k of run b; `lengths` [B, K] counts them. `discounts` are the
 * tokens' weights, where there are some.
 */
export const runSpec = (options: BatchOptions = {}) =>
  ({
    ragged: raggedSpecs,
    picks: listSpec,
    tokens: listSpec,
    owners: listSpec,
    lengths: sidesSpec(options),
    ...(options.ldAlpha !== undefined && { discounts: { dtype: "float32", shape: ["L"] } }),
  }) satisfies Tree<TensorSpec>;

type RunArrays = Record<"picks" | "tokens" | "owners" | "lengths", HostArray> & {
  readonly ragged: ReturnType<typeof raggedArrays>;
  readonly discounts?: HostArray;
};

/** A figure for each response, [B, K]. */
export const sidesSpec = (options: BatchOptions = {}): TensorSpec => ({
  dtype: "float32",
  shape: ["B", countOf(options)],
});

/** With what the reference says, [B, K] in nats. */
export const dpoSpec = (options: BatchOptions = {}): Tree<TensorSpec> => ({
  ...runSpec(options),
  reference: sidesSpec(options),
});

/** Tokens that a run takes in a batch, when its responses share the prompt. */
export const runSize = ({ prompt, responses }: Run): number =>
  responses.reduce((size, ids) => size + branchOf(ids).length, prompt.length);

const branchOf = (ids: Int32Array): Int32Array => ids.subarray(0, Math.max(0, ids.length - 1));

/** The arrays of `runSpec`. */
export function collateRuns(runs: readonly Run[], options: BatchOptions = {}): RunArrays {
  const { columns = 2, ldAlpha, prompts = false } = options;
  const count = countOf(options);
  const { packed, parts } = packGroups(
    runs.map(({ prompt, responses }) => ({ prompt, branches: responses.map(branchOf) })),
  );
  const lists: Record<"picks" | "tokens" | "owners", number[]> = { picks: [], tokens: [], owners: [] };
  const discounts: number[] = [];
  const lengths = new Float32Array(runs.length * count);
  const reads = new Map<number, number>();
  const counts = (token: number, id: number, owner: number, weight = 1) => {
    if (!reads.has(token)) reads.set(token, reads.size);
    lists.picks.push(reads.get(token) as number);
    lists.tokens.push(id);
    lists.owners.push(owner);
    if (ldAlpha !== undefined) discounts.push(weight);
    (lengths[owner] as number)++;
  };
  for (const [k, { row, columns: members }] of parts.entries()) {
    const { prompt, responses } = runs[row] as Run;
    const starts = packed.starts[k] as (typeof packed.starts)[number];
    if (prompts && members[0] === 0)
      for (let i = 1; i < prompt.length; i++)
        counts(starts.prompt + i - 1, prompt[i] as number, count * row + columns);
    const shared = Math.min(...responses.map((ids) => ids.length));
    for (const [b, column] of members.entries()) {
      const begin = starts.branches[b] as number;
      for (const [i, id] of (responses[column] as Int32Array).entries()) {
        if (i === 0 && prompt.length === 0) continue; // nothing predicts it
        const from = i === 0 ? starts.prompt + prompt.length - 1 : begin + i - 1;
        counts(from, id, count * row + column, i < shared ? 1 : ldAlpha);
      }
    }
  }
  const list = (values: readonly number[]) => hostArray("int64", [values.length], values);
  return {
    ragged: raggedArrays(raggedRows(packed, reads.size > 0 ? [...reads.keys()] : [0])),
    picks: list(lists.picks),
    tokens: list(lists.tokens),
    owners: list(lists.owners),
    lengths: hostArray("float32", [runs.length, count], lengths),
    ...(ldAlpha !== undefined && { discounts: hostArray("float32", [discounts.length], discounts) }),
  };
}

/** A row that becomes a run. */
export interface RunRow {
  readonly source: Source;
}

export interface RunRowsOptions<Row> extends BatchOptions {
  readonly runOf: (row: Row) => Run;
  /** Arrays beside the run's, such as what the reference says of the rows with these numbers. */
  readonly more?: (
    rows: readonly Row[],
    indices: readonly number[],
  ) => Tree<HostArray> | Promise<Tree<HostArray>>;
  /** All tokens of a row; by default each response with its prompt. */
  readonly sequences?: (row: Row) => readonly Int32Array[];
}

/** Rows of a plan, one item each. */
export const runRows = <Row extends RunRow>(
  list: RowList<Row>,
  { runOf, more, sequences, ...options }: RunRowsOptions<Row>,
): Rows<Row> => ({
  list,
  sequences(row) {
    if (sequences) return sequences(row);
    const { prompt, responses } = runOf(row);
    return responses.flatMap((ids) => [prompt, ids]);
  },
  shape: (row) => ({ rows: 1, length: runSize(runOf(row)) }),
  items: () => 1,
  sources: ({ source }) => [source],
  collate: async (rows, indices) => ({
    ...collateRuns(rows.map(runOf), options),
    ...(more && (await more(rows, indices))),
  }),
});

/** What a model says of the responses of runs, each [B, K]. */
export interface ResponseFigures {
  /** Sums of the log-probabilities of the tokens, in nats, discounted where the batch says so. */
  readonly logps: Tensor;
  /** The same without discounts. */
  readonly whole: Tensor;
  /** WPO's weight: exp of the mean over tokens of log p - log sum_v p_v^2, without a gradient. */
  readonly weights?: Tensor;
}

/** What `responseLogProbs` says, and more where it is asked for. */
export function responseFigures(
  config: ModelConfig,
  params: Tree<Tensor>,
  batch: Tree<Tensor>,
  { weighted = false }: { readonly weighted?: boolean } = {},
): ResponseFigures {
  const { picks, tokens, owners, lengths } = batch as Record<
    "picks" | "tokens" | "owners" | "lengths",
    Tensor
  >;
  const discounts = batch.discounts as Tensor | undefined;
  const hidden = hiddenStates(config, params, batch.ragged as unknown as RaggedBatch); // [M, C]
  const { logProbs, aligned } = logitFigures(
    config,
    params,
    gather(hidden, picks),
    { rows: { tokens } },
    (logits, own) => {
      const logProbs = tokenLogProbs(logits, own.tokens); // [L]
      const collision = () => logSumExp(mul(logSoftmax(stopGradient(logits)), 2)); // [L, 1]
      const aligned = () => sub(stopGradient(logProbs), reshape(collision(), own.tokens.shape));
      return { logProbs, ...(weighted && { aligned: aligned() }) } as Record<"logProbs" | "aligned", Tensor>;
    },
  );
  const none = reshape(full(lengths.shape as Dim[], 0), [-1]); // [B K]
  const sums = (x: Tensor) => reshape(scatterAddRows(none, owners, x), lengths.shape);
  const whole = sums(logProbs);
  return {
    logps: discounts ? sums(mul(logProbs, discounts)) : whole,
    whole,
    ...(weighted && { weights: exp(div(stopGradient(sums(aligned)), maximum(lengths, 1))) }),
  };
}

/** log pi(response | prompt) of all responses, [B, K] in nats: sums over the tokens of the responses alone. */
export const responseLogProbs = (config: ModelConfig, params: Tree<Tensor>, batch: Tree<Tensor>): Tensor =>
  responseFigures(config, params, batch).logps;

/** The first two columns of [B, K], each [B]. */
export function sidesOf(x: Tensor): Sides {
  const [chosen, rejected] = columnsOf(x, 2) as [Tensor, Tensor];
  return { chosen, rejected };
}

/** The first columns of [B, K], each [B]. */
export const columnsOf = (x: Tensor, count: number): Tensor[] =>
  Array.from({ length: count }, (_, k) => reshape(slice(x, 1, k, k + 1), [x.shape[0] as Dim]));
