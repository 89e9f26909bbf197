/**
 * Nash-MD (Munos et al. 2023, Nash learning from human feedback): the policy plays against the geometric mixture of
 * itself and the reference, and learns to be preferred to it.
 *
 *     rollout     y from pi, y' from pi^(1-a) ref^a                                      online-policy.ts
 *     judge       P(y is better than y')                                                 judged.ts
 *     loss        1/n sum over responses of  beta KL-term - (P - 1/2) sum_t log pi(t)
 *
 * The KL-term's gradient is that of KL(pi || ref) by score function. `sequence` is unbiased: each token answers for the
 * log-ratios from itself on, sum_t log pi(t) sum_{s>=t} (log pi - log ref)(s). `token` is TRL's, in which a token answers
 * for its own alone.
 */

import type { TokenSequence } from "../data/response-rows.ts";
import type { ModelConfig } from "../models/config/config.ts";
import { TrainError } from "./errors.ts";
import { chunks } from "./loop/plan.ts";
import { meanOf, sampledKlOf, sampleGroups, sampleMetrics, shown } from "./online/groups.ts";
import { checkJudged, type JudgedOptions, judgedDefaults, openComparer } from "./online/judged.ts";
import { openOnlinePolicy } from "./online/online-policy.ts";
import { weightedBatch, weightedLoss, weightedSpec } from "./online/weighted-tokens.ts";
import {
  iterationSettings,
  type PolicyHooks,
  type PolicyResult,
  runIterations,
} from "./policy/run/iterations.ts";

/** With a reward, P is the sigmoid of the difference of the scores. */
export interface NashMdOptions extends JudgedOptions {
  /** a: the reference's share in the mixture; 0 is self-play, 1 plays against the reference. */
  readonly mixtureCoef?: number | undefined;
  readonly klGradient?: "sequence" | "token" | undefined;
}

/** Defaults, as the help texts print them. */
export const nashMdDefaults = {
  ...judgedDefaults,
  mixtureCoef: 0.5,
  klGradient: "sequence",
} as const satisfies Partial<NashMdOptions>;

/** What the log-probability of each token of a response is weighed with. */
export function nashWeights(
  logProbs: ArrayLike<number>,
  reference: ArrayLike<number>,
  probability: number,
  { beta, klGradient }: { readonly beta: number; readonly klGradient: "sequence" | "token" },
): Float64Array {
  const weights = Float64Array.from(logProbs, (x, t) => x - (reference[t] as number));
  if (klGradient === "sequence")
    for (let t = weights.length - 2; t >= 0; t--)
      weights[t] = (weights[t] as number) + (weights[t + 1] as number);
  return weights.map((w) => beta * w - (probability - 0.5));
}

/**
 * The options over their defaults, checked.
 *
 * @throws TrainError for settings that contradict each other or cannot be meant
 */
export function nashMdSettings(options: NashMdOptions) {
  const o = iterationSettings(nashMdDefaults, options);
  checkJudged("nash-md", o);
  if (!(o.beta >= 0)) throw new TrainError(`beta: at least 0 is required, got ${o.beta}`);
  if (!(o.mixtureCoef >= 0 && o.mixtureCoef <= 1))
    throw new TrainError(`mixture_coef: a share from 0 to 1 is required, got ${o.mixtureCoef}`);
  return o;
}

/**
 * Improves a policy by what is preferred to a mixture of itself and the reference.
 *
 * @throws DataError, RewardError, RunError or TrainError with what is required, what came and what to do
 * @example
 * const { policy } = await nashMd({
 *   model: await loadModel("my-model"),
 *   prompts: "prompts.jsonl",
 *   judge: async (pairs) => pairs.map(({ first, second }) => (first.length < second.length ? 1 : 0)),
 * });
 */
export async function nashMd(options: NashMdOptions, hooks: PolicyHooks = {}): Promise<PolicyResult> {
  const o = nashMdSettings(options);
  const { judge, beta, mixtureCoef, klGradient } = o;
  return runIterations(
    o,
    {
      name: "nash-md",
      promptsPerStep: o.promptsPerStep,
      decisive: { beta, mixtureCoef, klGradient },
      async open(place) {
        const reference = o.refModel ?? place.model;
        const shapeOf = ({ family, numLayers, headDim, numKeyValueHeads, hiddenSize }: ModelConfig) =>
          [family, numLayers, headDim, numKeyValueHeads, hiddenSize].join();
        if (mixtureCoef > 0 && mixtureCoef < 1 && shapeOf(reference.config) !== shapeOf(place.model.config))
          throw new TrainError(
            "nash-md: a mixture needs a reference of the policy's shape; set mixture_coef to 0 or 1",
          );
        const policy = await openOnlinePolicy(place, o, {
          loss: weightedLoss(place.model.config),
          batchSpec: weightedSpec,
          accumulate: true,
        });
        const opponent: typeof policy.sample = (prompts, settings) =>
          mixtureCoef === 0
            ? policy.sample(prompts, settings)
            : mixtureCoef === 1
              ? policy.sampleReference(prompts, settings)
              : policy.sampleMixture(mixtureCoef, prompts, settings);
        const comparer = await openComparer(judge, place);
        return {
          ...policy,
          summary: comparer.summary,
          async dispose() {
            await comparer.dispose();
            await policy.dispose();
          },
          async iterate(prompts, step) {
            const own = await sampleGroups(o, place.reward, policy.sample, prompts, { step, samples: 1 });
            const other = await sampleGroups(o, place.reward, opponent, prompts, {
              step,
              samples: 1,
              stream: 1,
            });
            const preferences = await comparer.preferences(own, other);
            const { responses, sequences } = own;
            const reference = await policy.referenceOf(own, step);
            const kept = preferences.flatMap((p, i) => (p === undefined ? [] : [{ p, i }]));
            const micro = chunks(kept, o.batchSize).map((part) =>
              weightedBatch(
                part.map(({ i }) => sequences[i] as TokenSequence),
                part.map(({ p, i }) =>
                  nashWeights(responses[i]?.logProbs ?? [], reference[i] as Float64Array, p, {
                    beta,
                    klGradient,
                  }),
                ),
                o.temperature,
              ),
            );
            const trained =
              kept.length > 0 ? await policy.update(micro, kept.length, policy.rate(step)) : undefined;
            const kl = sampledKlOf(responses, reference);
            const logps = kept.map(({ p, i }) => ({
              p,
              own: responses[i]?.logProbs.reduce((a, b) => a + b, 0) ?? 0,
            }));
            return {
              metrics: {
                ...sampleMetrics(own),
                "objective/kl": kl,
                "loss/kl": kl,
                ...(kept.length > 0 && {
                  "loss/score": meanOf(logps.map(({ p, own }) => (p - 0.5) * own)),
                  "rewards/probabilities": meanOf(kept.map(({ p }) => p)),
                }),
                ...comparer.figures(),
                ...(judge === undefined && {
                  "rewards/chosen": meanOf(own.scores),
                  "rewards/rejected": meanOf(other.scores),
                }),
                frac_ties: kept.filter(({ p }) => p === 0.5).length / prompts.length,
                ...trained,
                lr: policy.rate(step),
              },
              responses: own.responses.length + other.responses.length,
              tokens: own.tokens + other.tokens,
              samples: shown(own, o.numSamples),
            };
          },
        };
      },
    },
    hooks,
  );
}
