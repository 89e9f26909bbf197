/**
 * The updates of an iteration as one program: a scan over epochs and minibatches, each an optimiser step of the policy, and
 * of the critic where there is one.
 *
 *     L = 1/n sum_t w_t (policy_t [+ vf_coef value_t] - entropy_coef H_t [+ beta KL_t])
 *
 * With w = 1 and n the tokens of the minibatch this is the mean over tokens (PPO); w = 1 / |o| and n responses is the mean
 * over responses of their means (GRPO). Weights and n come from the host.
 *
 * Every iteration reads its responses as ragged rows and their figures from the lists of the batch. Losses are sums over
 * response tokens divided by those of the whole minibatch, so how it is cut into micro-batches changes nothing.
 */

import {
  abs,
  add,
  compileScan,
  div,
  full,
  gather,
  greater,
  mapTree,
  max,
  maximum,
  mul,
  type Program,
  type Provider,
  scalar,
  scan,
  scatterAddRows,
  square,
  sub,
  sum,
  type Tensor,
  type TensorSpec,
  type Tree,
  tokenLogProbs,
  valueAndGrad,
  where,
  zipTree,
} from "../../../graph/index.ts";
import { hiddenStates, logitFigures } from "../../../models/model.ts";
import { traced } from "../../../models/tracing.ts";
import { clipFactor, globalNorm, type Optimizer } from "../../../optim/index.ts";
import { type TracingOptions, tracingOf } from "../../loop/step.ts";
import { entropyOf, klTerms } from "../kl.ts";
import { type ByPart, criticOf, frozenSpecs, type PolicyParts, policyOf, trainedSpecs } from "../parts.ts";
import { microBatch, updateSpecs } from "./plan.ts";
import {
  clippedPolicyLoss,
  clippedValueLoss,
  clipSides,
  importances,
  isPolicyClipped,
  isValueClipped,
  type PerResponse,
  type PolicyLoss,
  policyRatio,
} from "./policy-losses.ts";

export interface UpdateOptions extends TracingOptions {
  readonly cliprange: number;
  /** The upper side, where it is another one. */
  readonly cliprangeHigh?: number | undefined;
  /** Over what a ratio is taken. Default "token". */
  readonly importance?: keyof typeof importances | undefined;
  /** Losses of tokens are weighted (`Experience.weights`); else all count alike. */
  readonly weighted?: boolean | undefined;
  /** Counts how many tokens are clipped on which side. */
  readonly clipFigures?: boolean | undefined;
  /** Of the critic. */
  readonly cliprangeValue?: number;
  readonly vfCoef?: number;
  readonly entropyCoef: number;
  /** Adds beta times this estimate of the KL to the loss; the rewards then must be free of it. */
  readonly klTerm?: keyof typeof klTerms;
  /** Multiplies that term by the ratio, through which its gradient becomes that of the KL itself (DeepSeek-V3.2, 2025). */
  readonly klRatio?: boolean | undefined;
  /** Stop the iteration's updates above this, in nats per token against the old policy; the one that exceeds it is left out. */
  readonly targetKl?: number;
  /** 0 turns clipping off. */
  readonly maxGradNorm: number;
  /** Instead of the clipped loss. */
  readonly policyLoss?: PolicyLoss;
}

const numbers: TensorSpec = { dtype: "float32", shape: ["P"] };
const scalarSpec: TensorSpec = { dtype: "float32", shape: [] };

/** What every update of an iteration reads: the P response tokens of the batch, and settings. */
export const batchSpecs = (
  options: Pick<UpdateOptions, "klTerm" | "weighted">,
  { critic = true } = {},
): Record<string, TensorSpec> => ({
  tokens: { dtype: "int64", shape: ["P"] },
  old_log_probs: numbers,
  ...(options.klTerm && { ref_log_probs: numbers, kl_coef: scalarSpec }),
  ...(options.weighted && { weights: numbers }),
  advantages: numbers,
  ...(critic && { returns: numbers, old_values: numbers, critic_learning_rate: scalarSpec }),
  inverse_temperature: scalarSpec,
  learning_rate: scalarSpec,
});

type Named = Record<string, Tensor>;

/**
 * Loss and figures of one micro-batch: sums over its tokens, the loss divided by the items of the minibatch (which are its
 * tokens where losses are not weighted), the figures by its tokens.
 */
export function policyUpdateLoss(parts: PolicyParts, options: UpdateOptions) {
  const [policyTree, criticTree] = [policyOf(parts), criticOf(parts)];
  return (
    weights: Tree<Tensor>,
    batch: Named,
    micro: Named,
    items: Tensor,
    tokens: Tensor = items,
  ): { loss: Tensor; metrics: Named } => {
    const { ragged, at, owners, lengths } = microBatch(micro);
    const own = (name: string) => gather(batch[name] as Tensor, at); // [M]
    const perToken = (x: Tensor) => div(sum(x), tokens);
    const perItem = (x: Tensor) => div(sum(options.weighted ? mul(x, own("weights")) : x), items);
    const sums = (x: Tensor) => scatterAddRows(full(lengths.shape, 0), owners, x); // [S]
    const ofResponses: PerResponse = {
      sums: (x) => gather(sums(x), owners),
      means: (x) => gather(div(sums(x), lengths), owners),
    };

    const params = policyTree(weights);
    const hidden = hiddenStates(parts.config, params, ragged); // [M, C]
    const { logProbs, entropy } = logitFigures(
      parts.config,
      params,
      hidden,
      { rows: { tokens: own("tokens") }, scale: batch.inverse_temperature as Tensor },
      (logits, { tokens }) =>
        ({
          logProbs: tokenLogProbs(logits, tokens),
          ...(options.entropyCoef !== 0 && { entropy: entropyOf(logits) }),
        }) as Record<"logProbs" | "entropy", Tensor>,
    );
    const oldLogProbs = own("old_log_probs");
    const change = sub(logProbs, oldLogProbs);
    const terms = {
      logProbs,
      oldLogProbs,
      logRatio: importances[options.importance ?? "token"](change, ofResponses),
      ...(options.klTerm && { refLogProbs: own("ref_log_probs") }),
      advantages: own("advantages"),
      cliprange: options.cliprange,
      ...(options.cliprangeHigh !== undefined && { cliprangeHigh: options.cliprangeHigh }),
    };
    const policy = perItem((options.policyLoss ?? clippedPolicyLoss)(terms));
    let loss = policy;
    const extra: Named = {};
    if (parts.critic) {
      const values = {
        values: parts.critic.values(criticTree(weights), ragged, () => hidden),
        oldValues: own("old_values"),
        returns: own("returns"),
        cliprangeValue: options.cliprangeValue ?? 0.2,
      };
      extra.value_loss = perItem(clippedValueLoss(values));
      extra.value_clipfrac = perToken(isValueClipped(values));
      loss = add(loss, mul(extra.value_loss, options.vfCoef ?? 0.1));
    }
    if (options.entropyCoef !== 0) {
      extra.entropy = perToken(entropy);
      loss = sub(loss, mul(perItem(entropy), options.entropyCoef));
    }
    if (options.klTerm && terms.refLogProbs) {
      const plain = klTerms[options.klTerm](sub(logProbs, terms.refLogProbs));
      const kl = options.klRatio ? mul(plain, policyRatio(terms)) : plain;
      extra.kl_loss = perToken(kl);
      loss = add(loss, mul(perItem(kl), batch.kl_coef as Tensor));
    }
    if (options.clipFigures) {
      const { low, high } = clipSides(terms);
      Object.assign(extra, { clip_low: perToken(low), clip_high: perToken(high) });
    }
    return {
      loss,
      metrics: {
        policy_loss: policy,
        approxkl: mul(perToken(square(change)), 0.5),
        clipfrac: perToken(isPolicyClipped(terms)),
        ratio: perToken(policyRatio(terms)),
        ...extra,
        max_log_ratio: max(abs(change)),
      },
    };
  };
}

export type Optimizers = ByPart<Optimizer>;

/** What losses and figures of an update are divided by. */
type Items = readonly [items: Tensor, tokens: Tensor];

/** The parts that train. */
const partsOf = (of: ByPart<unknown>): ("policy" | "critic")[] =>
  of.critic === undefined ? ["policy"] : ["policy", "critic"];

/** The state of every part's optimiser. */
export const optimizerSpecs = (optimizers: Optimizers, specs: Tree<TensorSpec>): Tree<TensorSpec> =>
  Object.fromEntries(
    partsOf(optimizers).map((part) => [
      part,
      (optimizers[part] as Optimizer).init(specs[part] as Tree<TensorSpec>),
    ]),
  );

/**
 * Compiles K updates, cut into several micro-batches each where they `accumulate`: (carry {params, state}, xs {micro, num_items}, constants {batch, frozen}) to the carry after the
 * last one and `ys`, the figures of each.
 */
export function compileUpdate(
  parts: PolicyParts,
  optimizers: Optimizers,
  options: UpdateOptions,
  { provider, accumulate }: { readonly provider: Provider; readonly accumulate: boolean },
): Program {
  const loss = policyUpdateLoss(parts, options);
  const specs = trainedSpecs(parts);

  /** Gradients and figures of one micro-batch. */
  const gradientsOf = (params: Tree<Tensor>, constants: Tree<Tensor>, micro: Named, items: Items) => {
    let metrics: Named = {};
    const [value, gradients] = valueAndGrad((p: Tree<Tensor>) => {
      const weights = { params: p, frozen: constants.frozen as Tree<Tensor> };
      const found = traced(tracingOf(options), () =>
        loss(weights, constants.batch as Named, micro, ...items),
      );
      metrics = found.metrics;
      return found.loss;
    })(params);
    return { gradients, metrics: { ...metrics, loss: value } as Named };
  };

  /** Those of all micro-batches. */
  const total = (params: Tree<Tensor>, constants: Tree<Tensor>, micro: Named, items: Items) => {
    const first = gradientsOf(
      params,
      constants,
      mapTree(micro, (x) => gather(x, scalar(0, "int64"))) as Named,
      items,
    );
    if (!accumulate) return first;
    // From here on `first` only says what there is; nothing of it runs.
    const { carry } = scan(
      (sums: Tree<Tensor>, xs: Tree<Tensor>) => {
        const { gradients, metrics } = gradientsOf(params, constants, xs as Named, items);
        const known = sums.metrics as Named;
        return {
          carry: {
            gradients: zipTree(sums.gradients as Tree<Tensor>, gradients, add),
            metrics: mapTree(metrics, (x, name) =>
              (name === "max_log_ratio" ? maximum : add)(known[name] as Tensor, x),
            ),
          },
        };
      },
      {
        carry: {
          gradients: mapTree(first.gradients, ({ shape }) => full(shape, 0)),
          metrics: mapTree(first.metrics, () => scalar(0)),
        },
        xs: micro as Tree<Tensor>,
      },
    );
    return { gradients: carry.gradients as Tree<Tensor>, metrics: carry.metrics as Named };
  };

  return compileScan(
    (carry, x, constants) => {
      const { params, state } = carry as Record<"params" | "state", Tree<Tensor>>;
      const batch = constants.batch as Named;
      const { gradients, metrics } = total(params as Tree<Tensor>, constants, x.micro as Named, [
        x.num_items as Tensor,
        x.num_tokens as Tensor,
      ]);
      const after: Record<"params" | "state", Record<string, Tree<Tensor>>> = { params: {}, state: {} };
      for (const part of partsOf(optimizers)) {
        const own = gradients[part] as Tree<Tensor>;
        const norm = globalNorm(own);
        metrics[`${part}_grad_norm`] = norm;
        const updated = (optimizers[part] as Optimizer).update(
          own,
          state[part] as Tree<Tensor>,
          params[part] as Tree<Tensor>,
          {
            learningRate: (part === "policy" ? batch.learning_rate : batch.critic_learning_rate) as Tensor,
            gradientScale: clipFactor(norm, options.maxGradNorm > 0 ? options.maxGradNorm : Number.MAX_VALUE),
          },
        );
        after.params[part] = updated.params;
        after.state[part] = updated.state;
      }
      if (options.targetKl === undefined) return { carry: after as Tree<Tensor>, y: metrics as Tree<Tensor> };
      const isFar = greater(metrics.approxkl as Tensor, options.targetKl);
      return {
        carry: zipTree(carry, after as Tree<Tensor>, (old, next) => where(isFar, old, next)),
        y: metrics as Tree<Tensor>,
        until: isFar,
      };
    },
    {
      carry: {
        params: specs,
        state: optimizerSpecs(optimizers, specs),
      },
      xs: {
        micro: updateSpecs,
        num_items: { dtype: "float32", shape: ["K"] },
        num_tokens: { dtype: "float32", shape: ["K"] },
      },
      constants: {
        batch: batchSpecs(options, { critic: parts.critic !== undefined }),
        frozen: frozenSpecs(parts),
      },
    },
    { provider },
  );
}
