/**
 * The losses of PPO (Schulman et al. 2017, eq. 7 and 9), for each token; all rows are [N], one entry a response token.
 *
 *     ratio  = exp(log pi - log pi_old)                          pi_old: the policy that sampled the token
 *     policy = max(-A ratio, -A clip(ratio, 1 - eps, 1 + eps))
 *     value  = 1/2 max((V - R)^2, (clip(V, V_old - eps_v, V_old + eps_v) - R)^2)
 */
import {
  add,
  cast,
  clip,
  exp,
  greater,
  maximum,
  minimum,
  mul,
  neg,
  square,
  sub,
  type Tensor,
} from "../../graph/index.ts";

/** What a policy loss may be made of; nats, [N]. */
export interface PolicyTerms {
  /** log pi of the sampled tokens, with gradient. */
  readonly logProbs: Tensor;
  /** Those of the policy that sampled, as stored then. */
  readonly oldLogProbs: Tensor;
  /** Those of the reference; only where the KL stands in the loss. */
  readonly refLogProbs?: Tensor;
  readonly advantages: Tensor;
  readonly cliprange: number;
}

/** A loss for each token, [N]. */
export type PolicyLoss = (terms: PolicyTerms) => Tensor;

export const policyRatio = ({ logProbs, oldLogProbs }: Pick<PolicyTerms, "logProbs" | "oldLogProbs">) =>
  exp(sub(logProbs, oldLogProbs));

/** -A ratio and its clipped form. */
function surrogates(terms: PolicyTerms): [Tensor, Tensor] {
  const { advantages, cliprange } = terms;
  const ratio = policyRatio(terms);
  const gain = neg(advantages);
  return [mul(gain, ratio), mul(gain, clip(ratio, 1 - cliprange, 1 + cliprange))];
}

export const clippedPolicyLoss: PolicyLoss = (terms) => {
  const [plain, clipped] = surrogates(terms);
  return maximum(plain, clipped);
};

/** 1 for tokens whose clipped loss is the larger one, else 0. */
export const isPolicyClipped = (terms: PolicyTerms): Tensor => {
  const [plain, clipped] = surrogates(terms);
  return cast(greater(clipped, plain), "float32");
};

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
