/**
 * Online DPO (Guo et al. 2024, direct language model alignment from online feedback): two responses of the policy as it
 * is now, a reward or a judge that says which is better, and a step of DPO on that pair.
 *
 *     rollout     two responses to each prompt                                            groups.ts
 *     judge       which is the better one; ties and answers that do not count are left out      judged.ts
 *     loss, step  -log sigmoid(beta (log pi/ref (better) - log pi/ref (worse)))           preference/dpo-loss.ts
 */
import type { PromptExample } from "../data/prompts.ts";
import { div, hostArray, square, sub } from "../graph/index.ts";
import { randomBits, uniform } from "../graph/random.ts";
import { TrainError } from "./errors.ts";
import { chunks } from "./loop/plan.ts";
import { meanOf, type Scored, sampledKlOf, sampleGroups, sampleMetrics, shown } from "./online/groups.ts";
import { checkJudged, type JudgedOptions, judgedDefaults, openComparer } from "./online/judged.ts";
import { openOnlinePolicy } from "./online/online-policy.ts";
import {
  iterationSettings,
  type PolicyHooks,
  type PolicyResult,
  runIterations,
} from "./policy/run/iterations.ts";
import { dpoLoss } from "./preference/dpo-loss.ts";
import { collateRuns, dpoSpec } from "./preference/preference-batch.ts";
import { type PreferenceLoss, preferenceLosses } from "./preference/preference-losses.ts";

export interface OnlineDpoOptions extends JudgedOptions {
  readonly lossType?: "sigmoid" | "ipo" | undefined;
  /**
   * `best`: the likelier one is preferred, as in TRL. `drawn`: drawn with the judge's probability (of a reward:
   * sigmoid of the difference), with which the optimum is pi* ~ ref exp(reward / beta). Default "best".
   */
  readonly labels?: "best" | "drawn" | undefined;
}

/** As TRL's OnlineDPOTrainer has them; its `ipo` takes the margin of the whole responses, not that a token. */
export const onlineDpoLosses = {
  sigmoid: preferenceLosses.sigmoid,
  ipo: ({ margin, beta }) => square(sub(margin, div(0.5, beta))),
} satisfies Record<string, PreferenceLoss>;

/** Defaults, as the help texts print them. */
export const onlineDpoDefaults = {
  ...judgedDefaults,
  lossType: "sigmoid",
  labels: "best",
} as const satisfies Partial<OnlineDpoOptions>;

/**
 * The options over their defaults, checked.
 *
 * @throws TrainError for settings that contradict each other or cannot be meant
 */
export function onlineDpoSettings(options: OnlineDpoOptions) {
  const o = iterationSettings(onlineDpoDefaults, options);
  checkJudged("online-dpo", o);
  if (!(o.beta > 0)) throw new TrainError(`beta: above 0 is required, got ${o.beta}`);
  return o;
}

/**
 * Improves a policy by comparisons of its own responses.
 *
 * @throws DataError, RewardError, RunError or TrainError with what is required, what came and what to do
 * @example
 * const { policy } = await onlineDpo({
 *   model: await loadModel("my-model"),
 *   prompts: "prompts.jsonl",
 *   reward: "runs/judge",
 *   beta: 0.1,
 * });
 */
export async function onlineDpo(options: OnlineDpoOptions, hooks: PolicyHooks = {}): Promise<PolicyResult> {
  const o = onlineDpoSettings(options);
  const { judge, beta, lossType, labels } = o;
  return runIterations(
    o,
    {
      name: "online-dpo",
      promptsPerStep: o.promptsPerStep,
      decisive: { beta, lossType, labels },
      async open(place) {
        const policy = await openOnlinePolicy(place, o, {
          loss: dpoLoss(place.model.config, { loss: onlineDpoLosses[lossType], beta }),
          batchSpec: dpoSpec(),
          accumulate: true,
        });
        const comparer = await openComparer(judge, place);
        return {
          ...policy,
          summary: comparer.summary,
          async dispose() {
            await comparer.dispose();
            await policy.dispose();
          },
          async iterate(prompts, step) {
            const found = await sampleGroups(o, place.reward, policy.sample, prompts, { step, samples: 2 });
            const { responses, sequences, scores } = found;
            const halves = [everySecond(found, 0), everySecond(found, 1)] as const;
            const preferences = await comparer.preferences(...halves);
            const seed = randomBits(o.seed, step, 1);
            const kept = preferences.flatMap((p, i) => {
              if (p === undefined || (p === 0.5 && labels === "best")) return [];
              const isFirst = labels === "best" ? p > 0.5 : uniform(seed, i) < p;
              return [{ prompt: i, chosen: 2 * i + (isFirst ? 0 : 1), rejected: 2 * i + (isFirst ? 1 : 0) }];
            });
            const reference = await (o.temperature === 1
              ? policy.referenceOf(found, step)
              : policy.referenceLogProbs(sequences, 1));
            const sums = reference.map((row) => row.reduce((a, b) => a + b, 0));
            const idsOf = (i: number) => Int32Array.from(responses[i]?.ids ?? []);
            const micro = chunks(kept, o.batchSize).map((part) => ({
              ...collateRuns(
                part.map(({ prompt, chosen, rejected }) => ({
                  prompt: (prompts[prompt] as PromptExample).ids,
                  responses: [idsOf(chosen), idsOf(rejected)],
                })),
              ),
              reference: hostArray(
                "float32",
                [part.length, 2],
                part.flatMap(({ chosen, rejected }) => [sums[chosen] as number, sums[rejected] as number]),
              ),
            }));
            const trained =
              kept.length > 0 ? await policy.update(micro, kept.length, policy.rate(step)) : undefined;
            const own = o.temperature === 1 ? reference : await policy.referenceOf(found, step);
            const kl = sampledKlOf(responses, own);
            return {
              metrics: {
                ...sampleMetrics(found),
                ...comparer.figures(),
                ...(judge === undefined && {
                  "objective/rlhf_reward": meanOf(scores) - beta * kl,
                  "objective/scores_margin": meanOf(
                    kept.map(
                      ({ chosen, rejected }) => (scores[chosen] as number) - (scores[rejected] as number),
                    ),
                  ),
                }),
                "objective/kl": kl,
                "objective/non_score_reward": -beta * kl,
                frac_ties: preferences.filter((p) => p === 0.5).length / prompts.length,
                ...trained,
                lr: policy.rate(step),
              },
              responses: responses.length,
              tokens: found.tokens,
              samples: shown(found, o.numSamples),
            };
          },
        };
      },
    },
    hooks,
  );
}

/** The first (or second) response to each prompt. */
const everySecond = (found: Scored, offset: number): Scored => {
  const pick = <T>(list: readonly T[]): T[] => list.filter((_, i) => i % 2 === offset);
  return {
    prompts: pick(found.prompts),
    responses: pick(found.responses),
    sequences: pick(found.sequences),
    scores: pick(found.scores),
    isScored: found.isScored,
    tokens: found.tokens,
  };
};
