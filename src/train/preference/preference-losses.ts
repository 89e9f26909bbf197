/**
 * Losses on preferences, by the names of TRL's `loss_type`: each from the log-ratios of the pairs of a batch to a number
 * for each [B], whose mean over the pairs is minimised. With rho(y) = log pi(y|x) - log ref(y|x):
 *
 *     margin = rho(chosen) - rho(rejected)          rewards: beta rho(y)          e: label smoothing
 *
 * Under another divergence than the reverse KL the margin is made of f'(pi/ref) instead of rho (see divergences.ts).
 */
import {
  add,
  div,
  exp,
  expand,
  logSigmoid,
  maximum,
  minimum,
  mul,
  neg,
  type Operand,
  relu,
  sigmoid,
  sort,
  square,
  sub,
  sum,
  type Tensor,
} from "../../graph/index.ts";

/** One tensor [B] for each response of a pair. */
export type Sides = Readonly<Record<"chosen" | "rejected", Tensor>>;

/** What a loss may be made from; tensors are [B], in nats, summed over the tokens of a response. */
export interface PreferenceTerms {
  /** log pi(chosen) - log ref(chosen) */
  readonly chosen: Tensor;
  /** log pi(rejected) - log ref(rejected) */
  readonly rejected: Tensor;
  /** f'(pi/ref) of each response, up to what cancels in their difference; the log-ratio under reverse KL. */
  readonly scores: Sides;
  /** scores.chosen - scores.rejected */
  readonly margin: Tensor;
  /** log pi(y|x), with what the chosen response has beyond the other's length discounted by `ld_alpha`. */
  readonly logps: Sides;
  readonly referenceLogps: Sides;
  /** log pi(y|x) without any discount. */
  readonly whole: Sides;
  /** Tokens of the responses. */
  readonly lengths: Sides;
  /** The pull towards the reference. */
  readonly beta: Operand;
  /** Share of labels that are taken to be turned around, in [0, 0.5). */
  readonly labelSmoothing: number;
  /** Of `discopop`: how sharply it changes from one of its two losses to the other. */
  readonly discopopTau: number;
}

export type PreferenceLoss = (terms: PreferenceTerms) => Tensor;

/** -(1 - e) log sigmoid(z) - e log sigmoid(-z) */
export const smoothed = (z: Tensor, e: number): Tensor =>
  neg(add(mul(logSigmoid(z), 1 - e), mul(logSigmoid(neg(z)), e)));

/** Minus the log-probabilities [B] of responses by all their tokens, for each response the same number. */
export const meanNll = (logps: Tensor, lengths: Tensor): Tensor =>
  expand(neg(div(sum(logps), maximum(sum(lengths), 1))), logps.shape);

/** 1 / (2 beta) */
const target = (beta: Operand): Operand => (typeof beta === "number" ? 1 / (2 * beta) : div(0.5, beta));

/** What an exponent is held below, so that its square is finite too. */
const largestExponent = 40;

const sorted = (x: Tensor): Tensor => sort(x).values;

/** Scores a token. */
const perToken = ({ scores, lengths }: PreferenceTerms): Tensor =>
  sub(div(scores.chosen, maximum(lengths.chosen, 1)), div(scores.rejected, maximum(lengths.rejected, 1)));

export const preferenceLosses = {
  /**
   * DPO, Rafailov et al. 2023, eq. 7: -log sigmoid(beta margin). With label smoothing the conservative form of
   * Mitchell 2023, eq. 3: -(1 - e) log sigmoid(beta margin) - e log sigmoid(-beta margin).
   */
  sigmoid: ({ margin, beta, labelSmoothing: e }) => smoothed(mul(beta, margin), e),

  /** The same with scores a token instead of a response (Tulu 3, Lambert et al. 2024, eq. 6). */
  sigmoid_norm: (terms) => smoothed(mul(terms.beta, perToken(terms)), terms.labelSmoothing),

  /** SLiC and RSO, Liu et al. 2023, eq. 9: max(0, 1 - beta margin). */
  hinge: ({ margin, beta }) => relu(sub(1, mul(beta, margin))),

  /** IPO, Azar et al. 2023, eq. 17: (margin - 1 / (2 beta))^2, with scores a token, as its authors confirmed to TRL. */
  ipo: (terms) => square(sub(perToken(terms), target(terms.beta))),

  /**
   * EXO, Ji et al. 2024, eq. 16 for two responses: KL(p || q) from p = (s, 1 - s), s = sigmoid(beta margin), to the
   * label q = (1 - e, e).
   */
  exo_pair: ({ margin, beta, labelSmoothing: e }) => {
    const z = mul(beta, margin);
    const won = mul(sigmoid(z), sub(logSigmoid(z), Math.log1p(-e)));
    return add(won, mul(sigmoid(neg(z)), sub(logSigmoid(neg(z)), Math.log(e))));
  },

  /** NCA, Chen et al. 2024, eq. 11 for pairs: both rewards are pulled down, the chosen one up twice as hard. */
  nca_pair: ({ chosen, rejected, beta }) => {
    const [c, r] = [mul(beta, chosen), mul(beta, rejected)];
    return neg(add(logSigmoid(c), mul(add(logSigmoid(neg(c)), logSigmoid(neg(r))), 0.5)));
  },

  /** Robust DPO, Chowdhury et al. 2024, eq. 14: unbiased when a share e of the labels is turned around. */
  robust: ({ margin, beta, labelSmoothing: e }) => {
    const z = mul(beta, margin);
    return div(add(mul(logSigmoid(z), e - 1), mul(logSigmoid(neg(z)), e)), 1 - 2 * e);
  },

  /** BCO, Jung et al. 2024, for pairs, without its shift: each reward against 0. */
  bco_pair: ({ chosen, rejected, beta }) =>
    neg(add(logSigmoid(mul(beta, chosen)), logSigmoid(neg(mul(beta, rejected))))),

  /** SPPO, Wu et al. 2024, eq. 4.7 with P = 1 for the chosen response and 0 for the other: rho to +-1 / (2 beta). */
  sppo_hard: ({ chosen, rejected, beta }) =>
    add(square(sub(chosen, target(beta))), square(add(rejected, target(beta)))),

  /** AOT, Melnyk et al. 2024, paired: the i-th smallest margin of the policy against the i-th of the reference. */
  aot: ({ logps, referenceLogps, beta, labelSmoothing: e }) => {
    const policy = sorted(sub(logps.chosen, logps.rejected));
    const reference = sorted(sub(referenceLogps.chosen, referenceLogps.rejected));
    return smoothed(mul(beta, sub(policy, reference)), e);
  },

  /** AOT, unpaired: the i-th smallest log-ratio of the chosen responses against the i-th of the rejected ones. */
  aot_unpaired: ({ chosen, rejected, beta, labelSmoothing: e }) =>
    smoothed(mul(beta, sub(sorted(chosen), sorted(rejected))), e),

  /** APO-zero, D'Oosterlinck et al. 2024, eq. 7: for chosen responses that are better than the policy's own. */
  apo_zero: ({ chosen, rejected, beta }) =>
    add(sub(1, sigmoid(mul(beta, chosen))), sigmoid(mul(beta, rejected))),

  /** APO-down, eq. 8: for chosen responses that are worse than the policy's own; both fall, the rejected one further. */
  apo_down: ({ chosen, rejected, beta }) =>
    add(sigmoid(mul(beta, chosen)), sub(1, sigmoid(mul(beta, sub(chosen, rejected))))),

  /**
   * DiscoPOP, Lu et al. 2024, eq. 5: a logistic loss that becomes an exponential one where the margin is positive,
   * (1 - s) softplus(-z) + s e^-z with z = beta margin, s = sigmoid(z / tau). The product s e^-z is made in logarithms.
   */
  discopop: ({ margin, beta, discopopTau: tau }) => {
    const z = mul(beta, margin);
    const share = div(z, tau);
    const logistic = mul(neg(logSigmoid(z)), sigmoid(neg(share)));
    return add(logistic, exp(minimum(sub(logSigmoid(share), z), largestExponent)));
  },

  /** The chosen responses' negative log-likelihood, the mean over the tokens of the micro-batch. */
  sft: ({ whole, lengths }) => meanNll(whole.chosen, lengths.chosen),
} satisfies Record<string, PreferenceLoss>;

export type PreferenceLossName = keyof typeof preferenceLosses;
export const preferenceLossNames = Object.keys(preferenceLosses) as readonly PreferenceLossName[];

/** Those that read `label_smoothing`. */
export const smoothedLosses: readonly PreferenceLossName[] = [
  "sigmoid",
  "sigmoid_norm",
  "exo_pair",
  "robust",
  "aot",
  "aot_unpaired",
];

/** Those made of the difference of two scores, in which what other divergences than the reverse KL leave cancels. */
export const differenceLosses: readonly PreferenceLossName[] = [
  "sigmoid",
  "sigmoid_norm",
  "hinge",
  "ipo",
  "exo_pair",
  "robust",
  "discopop",
  "sft",
];

/** Those that sort the pairs of a batch, so that no pair keeps its place. */
export const sortingLosses: readonly PreferenceLossName[] = ["aot", "aot_unpaired"];
