/**
 * Dynamic loss scaling (Micikevicius et al. 2018), with the rule of torch.amp.GradScaler: gradients in half precision lose
 * what is below 6e-8, so the loss is multiplied by a scale S, and the gradients divided by it again, in single precision.
 *
 *     gradients finite       the step is made; after `growthInterval` of these in a row S doubles
 *     gradients not finite   the step is left out, S halves
 *
 * S = 2^(16 + e), so multiplying by it rounds nothing; e starts at 0, as every optimiser's state does.
 */
import {
  add,
  greaterEqual,
  isFinite,
  keepIfFinite,
  maximum,
  minimum,
  pow,
  round,
  scalar,
  type Tensor,
  type TensorSpec,
  where,
} from "../graph/index.ts";
import type { Optimizer, State } from "./optimizer.ts";

/** S = 65,536 at the start, as torch has it. */
const startExponent = 16;
/** S is never below 1, nor above 2^24, where single precision would overflow. */
const [least, most] = [-startExponent, 8];
const [exponentKey, streakKey, skippedKey] = ["loss_scale_exponent", "loss_scale_streak", "skipped_steps"];

export interface LossScaleOptions {
  /** Finite steps in a row after which the scale doubles. Default 2000, torch's. */
  readonly growthInterval?: number;
}

const scalarSpec: TensorSpec = { dtype: "float32", shape: [] };

/** The same optimiser, which leaves out steps whose norm is not finite, and keeps the scale of the loss in its state. */
export function withLossScale(
  optimizer: Optimizer,
  { growthInterval = 2000 }: LossScaleOptions = {},
): Optimizer {
  const { groupOf } = optimizer;
  return {
    ...(groupOf && { groupOf }),
    init: (params) => ({
      ...optimizer.init(params),
      ...Object.fromEntries([exponentKey, streakKey, skippedKey].map((key) => [key, scalarSpec])),
    }),
    update(gradients, state, params, settings) {
      const {
        [exponentKey]: exponent,
        [streakKey]: streak,
        [skippedKey]: skipped,
        ...own
      } = state as Record<string, Tensor>;
      const norm = settings.norm as Tensor;
      const next = optimizer.update(gradients, own, params, settings);
      const good = isFinite(norm);
      const run = add(streak as Tensor, 1);
      const grows = greaterEqual(run, growthInterval);
      const e = exponent as Tensor;
      return {
        params: keepIfFinite(next.params, params, norm),
        state: {
          ...keepIfFinite(next.state, own, norm),
          [exponentKey]: where(good, where(grows, minimum(add(e, 1), most), e), maximum(add(e, -1), least)),
          [streakKey]: where(good, where(grows, 0, run), 0),
          [skippedKey]: add(skipped as Tensor, where(good, 0, 1)),
        },
      };
    },
  };
}

/** What the loss is multiplied by, a scalar, from the state of `withLossScale`; undefined of any other optimiser. */
export function lossScaleOf(state: State<Tensor>): Tensor | undefined {
  const exponent = state[exponentKey] as Tensor | undefined;
  // A GPU's power is near a whole number, and not always one.
  return exponent && round(pow(scalar(2), add(exponent, startExponent)));
}

/** What of a state the scale is made of, for programs that read nothing else of it. */
export const lossScaleStateOf = <L>(state: State<L>): State<L> =>
  state[exponentKey] === undefined ? {} : ({ [exponentKey]: state[exponentKey] } as State<L>);

/** The scale and the steps that were left out so far, as metrics. */
export const lossScaleMetrics = (scale: Tensor | undefined, state: State<Tensor>): Record<string, Tensor> =>
  scale === undefined ? {} : { loss_scale: scale, [skippedKey]: state[skippedKey] as Tensor };
