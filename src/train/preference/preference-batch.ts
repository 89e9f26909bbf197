/**
 * Pairs as batches, and the log-probabilities of their responses.
 *
 * A pair is one row: the prompt once, and behind it both responses as branches that do not see each other. So the
 * prompt is computed once, and no response is padded to the length of the other. A response's last token predicts
 * nothing and is left out, and only hidden states that predict a token of a response reach the vocabulary.
 *
 *     row        p0 p1 p2 | c0 c1 | r0 r1 r2        chosen c0 c1 c2, rejected r0 r1 r2 r3
 *     position    0  1  2    3  4    3  4  5
 *     branch      0  0  0    1  1    2  2  2
 *     predicts       c0,r0  c1 c2   r1 r2 r3
 */
import type { RowList } from "../../data/list.ts";
import type { Pair } from "../../data/pair.ts";
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
  stopGradient,
  sub,
  type Tensor,
  type TensorSpec,
  type Tree,
  tokenLogProbs,
} from "../../graph/index.ts";
import type { ModelConfig } from "../../models/config/config.ts";
import { hiddenStates, logitsOf, tokenSpec } from "../../models/model.ts";
import type { Rows } from "../loop/plan.ts";

/** What of a pair a batch needs. */
export type PairIds = Pick<Pair, "prompt" | "chosen" | "rejected">;

const listSpec: TensorSpec = { dtype: "int64", shape: ["N"] };
const sidesSpec: TensorSpec = { dtype: "float32", shape: ["B", 2] };

/**
 * B rows of T tokens; N tokens of responses. `places` are those of the hidden states [B T] that predict them, `tokens`
 * the tokens, `owners` 2 b for the chosen response of row b and 2 b + 1 for the rejected one; `lengths` [B, 2] counts them.
 */
export const preferenceSpec = {
  input_ids: tokenSpec(),
  position_ids: tokenSpec(),
  branch_ids: tokenSpec(),
  places: listSpec,
  tokens: listSpec,
  owners: listSpec,
  lengths: sidesSpec,
} satisfies Tree<TensorSpec>;

/** How batches are made. */
export interface BatchOptions {
  /**
   * LD-DPO's discount: what a token counts that stands beyond the length of the other response (Liu et al. 2024, eq. 9,
   * the shared part and alpha times the rest). Without it no token has a weight.
   */
  readonly ldAlpha?: number | undefined;
}

const discountSpec: TensorSpec = { dtype: "float32", shape: ["N"] };

/** With `discounts` [N], the weights of the tokens, where there are some. */
export const preferenceSpecOf = ({ ldAlpha }: BatchOptions = {}): Record<string, TensorSpec> => ({
  ...preferenceSpec,
  ...(ldAlpha !== undefined && { discounts: discountSpec }),
});

/** With what the reference says, [B, 2] in nats. */
export const dpoSpec = (options: BatchOptions = {}): Record<string, TensorSpec> => ({
  ...preferenceSpecOf(options),
  reference: sidesSpec,
});

const sides = ["chosen", "rejected"] as const;
const multipleOf = 8; // fewer lengths, fewer shapes

/** Tokens that a pair takes in a batch. */
export const pairSize = ({ prompt, chosen, rejected }: PairIds): number =>
  prompt.length + Math.max(0, chosen.length - 1) + Math.max(0, rejected.length - 1);

/** The arrays of `preferenceSpecOf`. */
export function collatePreferences(
  pairs: readonly PairIds[],
  { ldAlpha }: BatchOptions = {},
): Record<keyof typeof preferenceSpec, HostArray> & { discounts?: HostArray } {
  const length = Math.ceil(Math.max(1, ...pairs.map(pairSize)) / multipleOf) * multipleOf;
  const shape = [pairs.length, length];
  const [input_ids, position_ids, branch_ids] = [0, 0, 0].map(() => new BigInt64Array(pairs.length * length));
  const lists: Record<"places" | "tokens" | "owners", number[]> = { places: [], tokens: [], owners: [] };
  const discounts: number[] = [];
  const lengths = new Float32Array(pairs.length * 2);
  for (const [row, pair] of pairs.entries()) {
    let at = row * length;
    const put = (id: number, position: number, branch: number) => {
      (input_ids as BigInt64Array)[at] = BigInt(id);
      (position_ids as BigInt64Array)[at] = BigInt(position);
      (branch_ids as BigInt64Array)[at] = BigInt(branch);
      return at++;
    };
    const { prompt } = pair;
    prompt.forEach((id, i) => {
      put(id, i, 0);
    });
    const endOfPrompt = prompt.length > 0 ? at - 1 : undefined;
    const shared = Math.min(pair.chosen.length, pair.rejected.length);
    for (const [side, name] of sides.entries()) {
      let place = endOfPrompt;
      for (const [i, id] of pair[name].entries()) {
        if (place !== undefined) {
          lists.places.push(place);
          lists.tokens.push(id);
          lists.owners.push(2 * row + side);
          if (ldAlpha !== undefined) discounts.push(i < shared ? 1 : ldAlpha);
          (lengths[2 * row + side] as number)++;
        }
        if (i < pair[name].length - 1) place = put(id, prompt.length + i, side + 1);
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
    lengths: hostArray("float32", [pairs.length, 2], lengths),
    ...(ldAlpha !== undefined && { discounts: hostArray("float32", [discounts.length], discounts) }),
  };
}

/** Pairs as rows of a plan; `reference` answers [n, 2] for pairs by their numbers. */
export const pairRows = (
  pairs: RowList<Pair>,
  reference: (indices: readonly number[]) => Promise<HostArray>,
  options: BatchOptions = {},
): Rows<Pair> => ({
  list: pairs,
  sequences: ({ prompt, chosen, rejected }) => [prompt, chosen, prompt, rejected],
  shape: (pair) => ({ rows: 1, length: pairSize(pair) }),
  items: () => 1,
  sources: ({ source }) => [source],
  collate: async (rows, indices) => ({
    ...collatePreferences(rows, options),
    reference: await reference(indices),
  }),
});

/** What a model says of the responses of pairs, each [B, 2], chosen and rejected. */
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
    keyof typeof preferenceSpec,
    Tensor
  >;
  const discounts = batch.discounts as Tensor | undefined;
  const hidden = hiddenStates(config, params, { input_ids, position_ids, branch_ids }); // [B T, C]
  const logits = logitsOf(config, params, gather(hidden, places)); // [N, V]
  const logProbs = tokenLogProbs(logits, tokens); // [N]
  const none = reshape(full(lengths.shape as Dim[], 0), [-1]); // [2 B]
  const sums = (x: Tensor) => reshape(scatterAddRows(none, owners, x), lengths.shape);
  const whole = sums(logProbs);
  const aligned = () => {
    const collision = logSumExp(mul(logSoftmax(stopGradient(logits)), 2)); // [N, 1]
    return sums(sub(stopGradient(logProbs), reshape(collision, tokens.shape)));
  };
  return {
    logps: discounts ? sums(mul(logProbs, discounts)) : whole,
    whole,
    ...(weighted && { weights: exp(div(aligned(), maximum(lengths, 1))) }),
  };
}

/** log pi(response | prompt) of both responses, [B, 2] in nats: sums over the tokens of the responses alone. */
export const responseLogProbs = (config: ModelConfig, params: Tree<Tensor>, batch: Tree<Tensor>): Tensor =>
  responseFigures(config, params, batch).logps;
