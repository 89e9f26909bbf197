/**
 * Prompts with their responses as batches, and the log-probabilities of those responses.
 *
 * A run is one row: the prompt once, and behind it its responses (two of a pair, any number of a ranking) as branches
 * that do not see each other. So the prompt is computed once, and no response is padded to the length of the other. A
 * response's last token predicts nothing and is left out, and only hidden states that predict a token of a response
 * reach the vocabulary.
 *
 *     row        p0 p1 p2 | c0 c1 | r0 r1 r2        chosen c0 c1 c2, rejected r0 r1 r2 r3
 *     position    0  1  2    3  4    3  4  5
 *     branch      0  0  0    1  1    2  2  2
 *     predicts       c0,r0  c1 c2   r1 r2 r3
 */
import type { RowList } from "../../data/list.ts";
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
import { hiddenStates, logitFigures, tokenSpec } from "../../models/model.ts";
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

const listSpec: TensorSpec = { dtype: "int64", shape: ["N"] };
const countOf = ({ columns = 2, prompts = false }: BatchOptions): number => columns + Number(prompts);

/**
 * B rows of T tokens; N tokens that count; K columns. `places` are those of the hidden states [B T] that predict them,
 * `tokens` the tokens, `owners` K b + k for response k of row b; `lengths` [B, K] counts them. `discounts` are the
 * tokens' weights, where there are some.
 */
export const runSpec = (options: BatchOptions = {}) =>
  ({
    input_ids: tokenSpec(),
    position_ids: tokenSpec(),
    branch_ids: tokenSpec(),
    places: listSpec,
    tokens: listSpec,
    owners: listSpec,
    lengths: sidesSpec(options),
    ...(options.ldAlpha !== undefined && { discounts: { dtype: "float32", shape: ["N"] } }),
  }) satisfies Tree<TensorSpec>;

type RunArrays = Record<Exclude<keyof ReturnType<typeof runSpec>, "discounts">, HostArray> & {
  discounts?: HostArray;
};

/** A figure for each response, [B, K]. */
export const sidesSpec = (options: BatchOptions = {}): TensorSpec => ({
  dtype: "float32",
  shape: ["B", countOf(options)],
});

/** With what the reference says, [B, K] in nats. */
export const dpoSpec = (options: BatchOptions = {}): Record<string, TensorSpec> => ({
  ...runSpec(options),
  reference: sidesSpec(options),
});

const multipleOf = 8; // fewer lengths, fewer shapes

/** Tokens that a run takes in a batch. */
export const runSize = ({ prompt, responses }: Run): number =>
  responses.reduce((size, { length }) => size + Math.max(0, length - 1), prompt.length);

/** The arrays of `runSpec`. */
export function collateRuns(runs: readonly Run[], options: BatchOptions = {}): RunArrays {
  const { columns = 2, ldAlpha, prompts = false } = options;
  const count = countOf(options);
  const length = Math.ceil(Math.max(1, ...runs.map(runSize)) / multipleOf) * multipleOf;
  const shape = [runs.length, length];
  const [input_ids, position_ids, branch_ids] = [0, 0, 0].map(() => new BigInt64Array(runs.length * length));
  const lists: Record<"places" | "tokens" | "owners", number[]> = { places: [], tokens: [], owners: [] };
  const discounts: number[] = [];
  const lengths = new Float32Array(runs.length * count);
  for (const [row, { prompt, responses }] of runs.entries()) {
    let at = row * length;
    const put = (id: number, position: number, branch: number) => {
      (input_ids as BigInt64Array)[at] = BigInt(id);
      (position_ids as BigInt64Array)[at] = BigInt(position);
      (branch_ids as BigInt64Array)[at] = BigInt(branch);
      return at++;
    };
    const counts = (place: number, id: number, column: number, weight = 1) => {
      lists.places.push(place);
      lists.tokens.push(id);
      lists.owners.push(count * row + column);
      if (ldAlpha !== undefined) discounts.push(weight);
      (lengths[count * row + column] as number)++;
    };
    prompt.forEach((id, i) => {
      if (prompts && i > 0) counts(at - 1, id, columns);
      put(id, i, 0);
    });
    const endOfPrompt = prompt.length > 0 ? at - 1 : undefined;
    const shared = Math.min(...responses.map((ids) => ids.length));
    for (const [column, ids] of responses.entries()) {
      let place = endOfPrompt;
      for (const [i, id] of ids.entries()) {
        if (place !== undefined) counts(place, id, column, i < shared ? 1 : ldAlpha);
        if (i < ids.length - 1) place = put(id, prompt.length + i, column + 1);
      }
    }
  }
  const list = (values: readonly number[]) => hostArray("int64", [values.length], values);
  return {
    input_ids: hostArray("int64", shape, input_ids as BigInt64Array),
    position_ids: hostArray("int64", shape, position_ids as BigInt64Array),
    branch_ids: hostArray("int64", shape, branch_ids as BigInt64Array),
    places: list(lists.places),
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
  const { input_ids, position_ids, branch_ids, places, tokens, owners, lengths } = batch as Record<
    keyof RunArrays,
    Tensor
  >;
  const discounts = batch.discounts as Tensor | undefined;
  const hidden = hiddenStates(config, params, { input_ids, position_ids, branch_ids }); // [B T, C]
  const { logProbs, aligned } = logitFigures(
    config,
    params,
    gather(hidden, places),
    { rows: { tokens } },
    (logits, own) => {
      const logProbs = tokenLogProbs(logits, own.tokens); // [N]
      const collision = () => logSumExp(mul(logSoftmax(stopGradient(logits)), 2)); // [N, 1]
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
