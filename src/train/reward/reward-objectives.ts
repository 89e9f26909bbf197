/**
 * Several objectives: a head for each (helpful, harmless, honest, ...) and one for the overall preference, on one
 * backbone. Each pair says of each objective which response is better, or nothing.
 *
 *     L = 1/K sum_k 1/n sum over pairs that say something of k of - log sigmoid(s_k (r_k,chosen - r_k,rejected))
 *
 * with s_k = 1 where the chosen response is the better one by objective k, and -1 where it is the worse one
 * (../../data/objective-labels.ts).
 *
 * Where objectives pull the shared representation in opposite directions, they are in conflict: `cosine/a_b` is that
 * of the gradients of their losses by the pooled hidden states, which is what reaches the backbone (the upper bound of
 * Sener and Koltun 2018, section 3.3). Below 0 they disagree.
 */
import { objectiveLabels } from "../../data/objective-labels.ts";
import type { Pair } from "../../data/pair.ts";
import {
  add,
  addAll,
  cast,
  dimValue,
  div,
  gradientOf,
  greater,
  hostArray,
  max,
  maximum,
  min,
  minimum,
  mul,
  reshape,
  slice,
  sqrt,
  square,
  sub,
  sum,
  type Tensor,
  type Tree,
} from "../../graph/index.ts";
import { type PairLossOptions, pairLosses } from "../../reward/bradley-terry.ts";
import type { Loss } from "../loop/step.ts";

/** `objectives` [K, B] of a batch: the labels. */
export const collateObjectives = (pairs: readonly Pair[], objectives: readonly string[]) => {
  const labels = pairs.map((pair) => objectiveLabels(pair, objectives));
  return hostArray(
    "float32",
    [objectives.length, pairs.length],
    objectives.flatMap((_, k) => labels.map((of) => of[k] as number)),
  );
};

/**
 * The mean of the objectives' losses and their metrics, from the scores [2, B] of each head.
 *
 * In `accuracy_NAME` a pair that says nothing of an objective counts half.
 */
export function objectivesLoss(
  heads: readonly Tensor[],
  states: Tensor,
  batch: Tree<Tensor>,
  { objectives, ...options }: PairLossOptions & { readonly objectives: readonly string[] },
): ReturnType<Loss> {
  const { objectives: labels, num_items: items } = batch as Record<"objectives" | "num_items", Tensor>;
  const side = (of: Tensor, at: number) => reshape(slice(of, 0, at, at + 1), ["B"]);
  const each = objectives.map((name, k) => {
    const sign = side(labels, k); // [B]
    const known = square(sign);
    const [chosen, rejected] = [0, 1].map((at) => side(heads[k] as Tensor, at)) as [Tensor, Tensor];
    const losses = pairLosses(
      { chosen: mul(chosen, sign), rejected: mul(rejected, sign) },
      { labelSmoothing: options.labelSmoothing },
    );
    const right = cast(greater(mul(sub(chosen, rejected), sign), 0), "float32");
    return {
      name,
      loss: div(sum(mul(losses, known)), items),
      accuracy: div(sum(add(mul(right, known), mul(sub(1, known), 0.5))), items),
    };
  });
  const last = heads.at(-1) as Tensor;
  const c = options.centerRewardsCoefficient ?? 0;
  const centred = heads.map((head) => div(sum(square(add(side(head, 0), side(head, 1)))), items));
  const loss = mul(addAll(each.map((of) => of.loss)), 1 / heads.length);
  return {
    loss: c === 0 ? loss : add(loss, mul(addAll(centred), c / heads.length)),
    metrics: {
      accuracy: (each.at(-1) as { accuracy: Tensor }).accuracy,
      ...Object.fromEntries(each.map(({ name, accuracy }) => [`accuracy_${name}`, accuracy])),
      ...conflicts(each, states, items),
      min_reward: min(minimum(side(last, 0), side(last, 1))),
      mean_reward: mul(div(sum(last), items), 0.5),
      max_reward: max(maximum(side(last, 0), side(last, 1))),
    },
  };
}

/** The cosine of every two objectives' gradients; over micro-batches their mean by size. */
function conflicts(
  each: readonly { readonly name: string; readonly loss: Tensor }[],
  states: Tensor,
  items: Tensor,
): Record<string, Tensor> {
  const share = div(dimValue("B"), items);
  const slopes = each.map(({ loss }) => (gradientOf(loss, [states]) as [Tensor])[0]);
  const norms = slopes.map((slope) => sqrt(sum(square(slope))));
  const found: Record<string, Tensor> = {};
  for (const [i, a] of each.entries())
    for (let j = i + 1; j < each.length; j++) {
      const product = sum(mul(slopes[i] as Tensor, slopes[j] as Tensor));
      const norm = maximum(mul(norms[i] as Tensor, norms[j] as Tensor), 1e-20);
      found[`cosine/${a.name}_${each[j]?.name}`] = mul(div(product, norm), share);
    }
  return found;
}
