/**
 * The losses of on-policy methods, for each token; all rows are [M], one entry a response token.
 *
 *     ratio  = exp(l), l = log pi - log pi_old                   pi_old: the policy that sampled the token
 *     policy = one row of `policyLosses`
 *     value  = 1/2 max((V - R)^2, (clip(V, V_old - eps_v, V_old + eps_v) - R)^2)      Schulman et al. 2017, eq. 9
 *
 * `importance` says over what a ratio is taken: a token (PPO, GRPO), the geometric mean of its response (GSPO), or the
 * whole response (RLOO).
 */
import {
  add,
  and,
  cast,
  clip,
  exp,
  greater,
  less,
  maximum,
  minimum,
  mul,
  neg,
  square,
  stopGradient,
  sub,
  type Tensor,
} from "../../../graph/index.ts";

/** What a policy loss may be made of; nats, [M]. */
export interface PolicyTerms {
  /** log pi of the sampled tokens, with gradient. */
  readonly logProbs: Tensor;
  /** Those of the policy that sampled, as stored then. */
  readonly oldLogProbs: Tensor;
  /** Those of the reference; only where the KL stands in the loss. */
  readonly refLogProbs?: Tensor;
  /** The logarithm of the ratio, where it is not that of the token alone. */
  readonly logRatio?: Tensor;
  readonly advantages: Tensor;
  readonly cliprange: number;
  /** The upper side, 1 + this, where it is another one. */
  readonly cliprangeHigh?: number;
}

/** A loss for each token, [M]. */
export type PolicyLoss = (terms: PolicyTerms) => Tensor;

type RatioTerms = Pick<PolicyTerms, "logProbs" | "oldLogProbs" | "logRatio">;

export const policyRatio = ({ logProbs, oldLogProbs, logRatio }: RatioTerms) =>
  exp(logRatio ?? sub(logProbs, oldLogProbs));

const upper = ({ cliprange, cliprangeHigh = cliprange }: PolicyTerms): number => 1 + cliprangeHigh;

/** -A ratio and its clipped form. */
function surrogates(terms: PolicyTerms): [Tensor, Tensor] {
  const ratio = policyRatio(terms);
  const gain = neg(terms.advantages);
  return [mul(gain, ratio), mul(gain, clip(ratio, 1 - terms.cliprange, upper(terms)))];
}

export const policyLosses = {
  /** max(-A ratio, -A clip(ratio, 1 - eps, 1 + eps_high)): Schulman et al. 2017, eq. 7; clip-higher of Yu et al. 2025. */
  clipped: (terms) => {
    const [plain, clipped] = surrogates(terms);
    return maximum(plain, clipped);
  },
  /** -A log pi: Williams 1992. */
  reinforce: ({ logProbs, advantages }) => neg(mul(advantages, logProbs)),
  /** -A stop(min(ratio, 1 + eps_high)) log pi: every token's gradient stays, its weight is bounded (MiniMax 2025, eq. 4). */
  cispo: (terms) =>
    neg(mul(mul(stopGradient(minimum(policyRatio(terms), upper(terms))), terms.advantages), terms.logProbs)),
} satisfies Record<string, PolicyLoss>;

export const clippedPolicyLoss: PolicyLoss = policyLosses.clipped;

/** 1 for tokens whose clipped loss is the larger one, else 0. */
export const isPolicyClipped = (terms: PolicyTerms): Tensor => {
  const [plain, clipped] = surrogates(terms);
  return cast(greater(clipped, plain), "float32");
};

/** Which side of the range took effect: below it with a negative advantage, above it with a positive one. */
export const clipSides = (terms: PolicyTerms): Record<"low" | "high", Tensor> => {
  const ratio = policyRatio(terms);
  const { advantages, cliprange } = terms;
  return {
    low: cast(and(less(ratio, 1 - cliprange), less(advantages, 0)), "float32"),
    high: cast(and(greater(ratio, upper(terms)), greater(advantages, 0)), "float32"),
  };
};

/** Over what a ratio is taken, from the log ratio of each token; `sums` and `means` are those of its response. */
export const importances = {
  token: (change) => change,
  sequence: (change, { means }) => means(change),
  product: (change, { sums }) => sums(change),
} satisfies Record<string, (change: Tensor, of: PerResponse) => Tensor>;

/** For each token what its whole response has. */
export interface PerResponse {
  sums(x: Tensor): Tensor;
  means(x: Tensor): Tensor;
}

export interface ValueTerms {
  /** V of the tokens, with gradient. */
  readonly values: Tensor;
  /** V at the time of the rollout. */
  readonly oldValues: Tensor;
  readonly returns: Tensor;
  readonly cliprangeValue: number;
}

function squaredErrors({ values, oldValues, returns, cliprangeValue: range }: ValueTerms): [Tensor, Tensor] {
  const near = minimum(maximum(values, sub(oldValues, range)), add(oldValues, range));
  return [square(sub(values, returns)), square(sub(near, returns))];
}

export const clippedValueLoss = (terms: ValueTerms): Tensor => {
  const [plain, clipped] = squaredErrors(terms);
  return mul(maximum(plain, clipped), 0.5);
};

/** 1 for tokens whose clipped error is the larger one, else 0. */
export const isValueClipped = (terms: ValueTerms): Tensor => {
  const [plain, clipped] = squaredErrors(terms);
  return cast(greater(clipped, plain), "float32");
};
