/**
 * The update of PPO as one program: a scan over epochs and minibatches, each an optimiser step of policy and critic.
 *
 *     L = 1/n sum_t policy_t + vf_coef value_t - entropy_coef H_t [+ beta KL_t]         n: tokens of the minibatch
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
} from "../../graph/index.ts";
import { hiddenStates, logitFigures } from "../../models/model.ts";
import { traced } from "../../models/tracing.ts";
import { clipFactor, globalNorm, type Optimizer } from "../../optim/index.ts";
import { type TracingOptions, tracingOf } from "../loop/step.ts";
import { entropyOf, klTerms } from "./kl.ts";
import {
  clippedPolicyLoss,
  clippedValueLoss,
  isPolicyClipped,
  isValueClipped,
  type PolicyLoss,
  policyRatio,
} from "./ppo-loss.ts";
import { criticOf, frozenSpecs, type PpoParts, policyOf, trainedSpecs } from "./ppo-parts.ts";
import { microBatch, updateSpecs } from "./ppo-plan.ts";

export interface UpdateOptions extends TracingOptions {
  readonly cliprange: number;
  readonly cliprangeValue: number;
  readonly vfCoef: number;
  readonly entropyCoef: number;
  /** Adds beta times this estimate of the KL to the loss; the rewards then must be free of it. */
  readonly klTerm?: keyof typeof klTerms;
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
export const batchSpecs = (options: Pick<UpdateOptions, "klTerm">): Record<string, TensorSpec> => ({
  tokens: { dtype: "int64", shape: ["P"] },
  old_log_probs: numbers,
  ...(options.klTerm && { ref_log_probs: numbers, kl_coef: scalarSpec }),
  advantages: numbers,
  returns: numbers,
  old_values: numbers,
  inverse_temperature: scalarSpec,
  learning_rate: scalarSpec,
  critic_learning_rate: scalarSpec,
});

type Named = Record<string, Tensor>;

/** Loss and figures of one micro-batch, each a sum over its tokens divided by those of the minibatch. */
export function ppoLoss(parts: PpoParts, options: UpdateOptions) {
  const [policyTree, criticTree] = [policyOf(parts), criticOf(parts)];
  return (
    weights: Tree<Tensor>,
    batch: Named,
    micro: Named,
    items: Tensor,
  ): { loss: Tensor; metrics: Named } => {
    const { ragged, at } = microBatch(micro);
    const own = (name: string) => gather(batch[name] as Tensor, at); // [M]
    const perToken = (x: Tensor) => div(sum(x), items);

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
    const terms = {
      logProbs,
      oldLogProbs: own("old_log_probs"),
      ...(options.klTerm && { refLogProbs: own("ref_log_probs") }),
      advantages: own("advantages"),
      cliprange: options.cliprange,
    };
    const values = {
      values: parts.critic.values(criticTree(weights), ragged, () => hidden),
      oldValues: own("old_values"),
      returns: own("returns"),
      cliprangeValue: options.cliprangeValue,
    };
    const policy = perToken((options.policyLoss ?? clippedPolicyLoss)(terms));
    const value = perToken(clippedValueLoss(values));
    let loss = add(policy, mul(value, options.vfCoef));
    const extra: Named = {};
    if (options.entropyCoef !== 0) {
      extra.entropy = perToken(entropy);
      loss = sub(loss, mul(extra.entropy, options.entropyCoef));
    }
    if (options.klTerm && terms.refLogProbs) {
      extra.kl_loss = perToken(klTerms[options.klTerm](sub(terms.logProbs, terms.refLogProbs)));
      loss = add(loss, mul(extra.kl_loss, batch.kl_coef as Tensor));
    }
    const change = sub(terms.logProbs, terms.oldLogProbs);
    return {
      loss,
      metrics: {
        policy_loss: policy,
        value_loss: value,
        approxkl: mul(perToken(square(change)), 0.5),
        clipfrac: perToken(isPolicyClipped(terms)),
        value_clipfrac: perToken(isValueClipped(values)),
        ratio: perToken(policyRatio(terms)),
        ...extra,
        max_log_ratio: max(abs(change)),
      },
    };
  };
}

export interface Optimizers {
  readonly policy: Optimizer;
  readonly critic: Optimizer;
}

/**
 * Compiles K updates, cut into several micro-batches each where they `accumulate`: (carry {params, state}, xs {micro, num_items}, constants {batch, frozen}) to the carry after the
 * last one and `ys`, the figures of each.
 */
export function compileUpdate(
  parts: PpoParts,
  optimizers: Optimizers,
  options: UpdateOptions,
  { provider, accumulate }: { readonly provider: Provider; readonly accumulate: boolean },
): Program {
  const loss = ppoLoss(parts, options);
  const specs = trainedSpecs(parts);

  /** Gradients and figures of one micro-batch. */
  const gradientsOf = (params: Tree<Tensor>, constants: Tree<Tensor>, micro: Named, items: Tensor) => {
    let metrics: Named = {};
    const [value, gradients] = valueAndGrad((p: Tree<Tensor>) => {
      const weights = { params: p, frozen: constants.frozen as Tree<Tensor> };
      const found = traced(tracingOf(options), () => loss(weights, constants.batch as Named, micro, items));
      metrics = found.metrics;
      return found.loss;
    })(params);
    return { gradients, metrics: { ...metrics, loss: value } as Named };
  };

  /** Those of all micro-batches. */
  const total = (params: Tree<Tensor>, constants: Tree<Tensor>, micro: Named, items: Tensor) => {
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
      const { gradients, metrics } = total(
        params as Tree<Tensor>,
        constants,
        x.micro as Named,
        x.num_items as Tensor,
      );
      const after: Record<"params" | "state", Record<string, Tree<Tensor>>> = { params: {}, state: {} };
      for (const part of ["policy", "critic"] as const) {
        const own = gradients[part] as Tree<Tensor>;
        const norm = globalNorm(own);
        metrics[`${part}_grad_norm`] = norm;
        const updated = optimizers[part].update(
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
        state: {
          policy: optimizers.policy.init(specs.policy),
          critic: optimizers.critic.init(specs.critic),
        },
      },
      xs: { micro: updateSpecs, num_items: { dtype: "float32", shape: ["K"] } },
      constants: { batch: batchSpecs(options), frozen: frozenSpecs(parts) },
    },
    { provider },
  );
}
