/**
 * Group relative policy optimisation (Shao et al. 2024) and its relatives: no critic, a response is compared with the
 * others to its prompt.
 *
 *     A_i  = (r_i - mean(r)) / (std(r) + 1e-4)                              over the group of its prompt
 *     l_it = -min(w_it A_i, clip(w_it, 1 - eps, 1 + eps_high) A_i) + beta w_it k3_it,   w = pi / pi_old
 *
 * | lossType | the mean over tokens | |
 * |---|---|---|
 * | grpo | 1/G sum_i 1/|o_i| sum_t l_it | every response counts alike |
 * | dr_grpo | 1/(G L) sum_i sum_t l_it, L the limit of tokens | no bias for short responses (Liu et al. 2025) |
 * | dapo, bnpo | 1/sum|o_i| sum_i sum_t l_it | every token counts alike (Yu et al. 2025) |
 * | cispo | as dapo, l = -A stop(min(w, eps_high)) log pi | no token's gradient is clipped away (MiniMax 2025) |
 *
 * `importanceSamplingLevel: "sequence"` takes w over the whole response, as its geometric mean (GSPO, Zheng et al. 2025).
 * Groups whose rewards are all equal have no advantage: they are counted in `frac_reward_zero_std` and, without a KL in the
 * loss, not computed.
 */

import { type GroupOptions, groupSettings } from "./group-options.ts";
import type { Algorithm } from "./policy/algorithm.ts";
import { product } from "./policy/experience.ts";
import {
  checkGroups,
  equalGroups,
  groupAdvantages,
  groupFigures,
  perTokenRows,
  type ScaleRewards,
} from "./policy/groups.ts";
import type { klTerms } from "./policy/kl.ts";
import { groupMetrics } from "./policy/metrics.ts";
import { createOnPolicy, type OnPolicy, type PolicyCourse } from "./policy/on-policy.ts";
import type { PolicyHooks, PolicyResult } from "./policy/run/iterations.ts";
import { runOnPolicy } from "./policy/run/on-policy-run.ts";
import { policyLosses } from "./policy/update/policy-losses.ts";

export const grpoLossTypes = ["grpo", "dr_grpo", "dapo", "bnpo", "cispo"] as const;
export type GrpoLossType = (typeof grpoLossTypes)[number];

export interface GrpoOptions extends GroupOptions {
  /** Responses to each prompt. */
  readonly numGenerations?: number | undefined;
  readonly lossType?: GrpoLossType | undefined;
  readonly importanceSamplingLevel?: "token" | "sequence" | undefined;
  readonly scaleRewards?: ScaleRewards | undefined;
  /** k3 is multiplied by the ratio, so that its gradient is that of the KL to the reference. */
  readonly useBiasCorrectionKl?: boolean | undefined;
}

export const grpoDefaults = {
  numGenerations: 8,
  lossType: "dapo",
  importanceSamplingLevel: "token",
  scaleRewards: "group",
  useBiasCorrectionKl: true,
  // The KL stands in the loss, and is logged by the estimator that it is computed by.
  klIn: "loss",
  klEstimator: "k3",
} as const;

/** The method, its settings under the names that all on-policy methods share, and what decides its course. */
export function grpoMethod(options: GrpoOptions) {
  const { own, o } = groupSettings(options, grpoDefaults);
  const { numGenerations: samples, lossType, importanceSamplingLevel, scaleRewards, epsilonHigh } = own;
  const { useBiasCorrectionKl } = own;
  const rows = o.batchSize * o.gradientAccumulation;
  checkGroups("grpo", samples, rows);
  const inLoss = o.klCoef > 0;
  const isPerResponse = lossType === "grpo" || lossType === "dr_grpo";
  // The bound of cispo is no distance from 1, and it has no lower one.
  const ranges =
    lossType === "cispo"
      ? { cliprange: 1, cliprangeHigh: epsilonHigh === undefined ? o.cliprange : epsilonHigh - 1 }
      : { cliprangeHigh: epsilonHigh };
  const algorithm: Algorithm = {
    name: "grpo",
    samples,
    reference: inLoss,
    critic: false,
    update: {
      ...o,
      policyLoss: lossType === "cispo" ? policyLosses.cispo : policyLosses.clipped,
      importance: importanceSamplingLevel,
      ...ranges,
      weighted: isPerResponse,
      clipFigures: true,
      ...(inLoss && { klTerm: o.klEstimator as keyof typeof klTerms, klRatio: useBiasCorrectionKl }),
    },
    experience({ sequences, scores, importance }) {
      const advantages = perTokenRows(groupAdvantages(scores, samples, scaleRewards), sequences);
      const skipped = equalGroups(scores, samples);
      const tokens = sequences.reduce((n, { ids }) => n + ids.length, 0);
      const inverse = sequences.map(({ ids }) => 1 / (lossType === "grpo" ? ids.length : o.responseLength));
      return {
        advantages: importance ? product(advantages, importance) : advantages,
        ...(isPerResponse && { weights: perTokenRows(inverse, sequences) }),
        // Of an update, whichever responses it skips.
        ...(lossType !== "bnpo" && {
          items: (isPerResponse ? sequences.length : tokens) / o.numMiniBatches,
        }),
        ...(!inLoss && lossType !== "bnpo" && { skipped }),
        figures: groupFigures(scores, samples),
      };
    },
    metrics: groupMetrics,
  };
  const decides = {
    ...{ samples, lossType, importanceSamplingLevel, scaleRewards },
    ...{ epsilonHigh, useBiasCorrectionKl },
  };
  return { algorithm, o, decides };
}

/**
 * Optimises a policy against a reward, by groups of responses.
 *
 * @throws DataError, RewardError, RunError or TrainError with what is required, what came and what to do
 * @example
 * const { policy } = await grpo({
 *   model: await loadModel("my-model"),
 *   prompts: "prompts.jsonl",
 *   reward: (batch) => batch.map(({ completion, row }) => Number(completion.includes(String(row?.answer)))),
 *   numGenerations: 8,
 * });
 */
export async function grpo(options: GrpoOptions, hooks: PolicyHooks = {}): Promise<PolicyResult> {
  const { algorithm, o, decides } = grpoMethod(options);
  return runOnPolicy(algorithm, o, decides, hooks);
}

/** The same step by step, for whoever samples or scores elsewhere: see `createPpo`. */
export async function createGrpo(
  options: Omit<GrpoOptions, "prompts" | "reward">,
  course: PolicyCourse,
): Promise<OnPolicy> {
  const { algorithm, o } = grpoMethod({ prompts: [], reward: () => [], ...options });
  return createOnPolicy(algorithm, o, course);
}
