/**
 * Losses on preferences, by the names of TRL's `loss_type`: each from the log-ratios of a pair to a number [B], whose
 * mean over the pairs is minimised.
 */
import { add, logSigmoid, mul, neg, type Operand, type Tensor } from "../../graph/index.ts";

/** What a loss may be made from; tensors are [B], in nats, summed over the tokens of a response. */
export interface PreferenceTerms {
  /** log pi(chosen) - log ref(chosen) */
  readonly chosen: Tensor;
  /** log pi(rejected) - log ref(rejected) */
  readonly rejected: Tensor;
  /** chosen - rejected */
  readonly margin: Tensor;
  readonly logps: { readonly chosen: Tensor; readonly rejected: Tensor };
  readonly referenceLogps: { readonly chosen: Tensor; readonly rejected: Tensor };
  /** Tokens of the responses. */
  readonly lengths: { readonly chosen: Tensor; readonly rejected: Tensor };
  /** The pull towards the reference. */
  readonly beta: Operand;
  /** Share of labels that are taken to be turned around, in [0, 0.5). */
  readonly labelSmoothing: number;
}

export type PreferenceLoss = (terms: PreferenceTerms) => Tensor;

export const preferenceLosses = {
  /**
   * DPO, Rafailov et al. 2023, eq. 7: -log sigmoid(beta margin). With label smoothing the conservative form of
   * Mitchell 2023, eq. 3: -(1 - e) log sigmoid(beta margin) - e log sigmoid(-beta margin).
   */
  sigmoid: ({ margin, beta, labelSmoothing: e }) => {
    const logits = mul(beta, margin);
    return neg(add(mul(logSigmoid(logits), 1 - e), mul(logSigmoid(neg(logits)), e)));
  },
} satisfies Record<string, PreferenceLoss>;

export type PreferenceLossName = keyof typeof preferenceLosses;
export const preferenceLossNames = Object.keys(preferenceLosses) as readonly PreferenceLossName[];
