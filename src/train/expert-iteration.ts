/**
 * Expert iteration: a policy samples several responses to each prompt, the good ones are kept, and it is fine-tuned on
 * them; again and again (Anthony et al. 2017; STaR, Zelikman et al. 2022; RAFT, Dong et al. 2023).
 *
 *     sample     n responses to each prompt, from the policy or from the reference        online-policy.ts
 *     score      ask the reward                                                           groups.ts
 *     select     the k best, those above a threshold, or by rejection sampling            selection.ts
 *     step       - 1/n sum log pi(token), over the tokens of what was kept                language-model.ts
 */

import { responseArrays, type TokenSequence } from "../data/response-rows.ts";
import { permutation, randomBits } from "../graph/random.ts";
import { refuseIdle } from "./idle-options.ts";
import { labelSpec } from "./loop/label-rows.ts";
import { languageModelLoss } from "./loop/language-model.ts";
import { addMetrics } from "./loop/metrics.ts";
import { chunks } from "./loop/plan.ts";
import { meanOf, sampledKlOf, sampleGroups, sampleMetrics, shown } from "./online/groups.ts";
import { openOnlinePolicy } from "./online/online-policy.ts";
import { checkSelection, type Selection, selectionDefaults, selectResponses } from "./online/selection.ts";
import {
  type IterationOptions,
  iterationDefaults,
  iterationSettings,
  type PolicyHooks,
  type PolicyResult,
  runIterations,
} from "./policy/run/iterations.ts";
import { checkCounts } from "./prompted-options.ts";

export interface ExpertIterationOptions extends IterationOptions, Selection {
  /** Responses to each prompt. */
  readonly numGenerations?: number | undefined;
  /** Whom the responses are sampled from: rejection sampling is exact for the reference alone. Default "policy". */
  readonly sampleFrom?: "policy" | "reference" | undefined;
  /** Passes over what an iteration keeps. */
  readonly innerEpochs?: number | undefined;
  /** Leave out responses that did not end by themselves. Default true: they would teach where to break off. */
  readonly terminatedOnly?: boolean | undefined;
}

/** Defaults, as the help texts print them. */
export const expertIterationDefaults = {
  ...iterationDefaults,
  ...selectionDefaults,
  learningRate: 1e-5,
  numGenerations: 8,
  sampleFrom: "policy",
  innerEpochs: 1,
  terminatedOnly: true,
} as const satisfies Partial<ExpertIterationOptions>;

/**
 * The options over their defaults, checked.
 *
 * @throws TrainError for settings that contradict each other or cannot be meant
 */
export function expertIterationSettings(options: ExpertIterationOptions) {
  const o = iterationSettings(expertIterationDefaults, options);
  checkSelection(o, o.numGenerations);
  checkCounts(o, 1, ["innerEpochs"]);
  return o;
}

const ofSelection = (names: "topK" | "threshold" | "beta", selection: Selection["selection"]) => ({
  names: [names],
  holds: (o: Partial<ExpertIterationOptions>) =>
    (o.selection ?? expertIterationDefaults.selection) === selection,
  needs: `selection ${selection}`,
});

/**
 * Refuses what `expertIterationSettings` does, and options that were given and would do nothing.
 *
 * @throws TrainError with the option and what it needs
 */
export function checkExpertIteration(options: Partial<ExpertIterationOptions>): void {
  refuseIdle<ExpertIterationOptions>(options, [
    ofSelection("topK", "top_k"),
    ofSelection("threshold", "threshold"),
    ofSelection("beta", "rejection"),
  ]);
  expertIterationSettings(options as ExpertIterationOptions);
}

/**
 * Improves a policy by its own best responses.
 *
 * @throws DataError, RewardError, RunError or TrainError with what is required, what came and what to do
 * @example
 * const { policy } = await expertIteration({
 *   model: await loadModel("my-model"),
 *   prompts: "problems.jsonl", // {"prompt": ..., "answer": ...}
 *   reward: "rule:numeric_answer",
 *   selection: "threshold",
 *   maxSteps: 20,
 * });
 */
export async function expertIteration(
  options: ExpertIterationOptions,
  hooks: PolicyHooks = {},
): Promise<PolicyResult> {
  const o = expertIterationSettings(options);
  const { selection, topK, threshold, beta, numGenerations, sampleFrom, innerEpochs, terminatedOnly } = o;
  return runIterations(
    o,
    {
      name: "expert-iteration",
      saysNothingLearned: true,
      promptsPerStep: o.promptsPerStep,
      decisive: { selection, topK, threshold, beta, numGenerations, sampleFrom, innerEpochs, terminatedOnly },
      async open(place) {
        const policy = await openOnlinePolicy(place, o, {
          loss: languageModelLoss(place.model.config),
          batchSpec: labelSpec(false),
          accumulate: o.gradientAccumulation > 1,
        });
        let hasWarned = false;
        return {
          ...policy,
          async iterate(prompts, step) {
            const from = sampleFrom === "policy" ? policy.sample : policy.sampleReference;
            const found = await sampleGroups(o, place.reward, from, prompts, {
              step,
              samples: numGenerations,
            });
            const { responses, sequences, scores } = found;
            const seed = randomBits(o.seed, step, 1);
            const { kept, equalGroups } = selectResponses(scores, numGenerations, o, seed);
            const used = kept.filter((i) => !terminatedOnly || responses[i]?.terminated);
            if (used.length === 0 && !hasWarned) {
              hasWarned = true;
              place.onWarning(
                `step ${step + 1}: no response is worth keeping (${equalGroups} of ${prompts.length} prompts have responses that all score alike); ` +
                  "take more samples, a longer response_length, or another reward or selection",
              );
            }
            const metrics: Record<string, number> = {};
            let updates = 0;
            for (let epoch = 0; epoch < innerEpochs; epoch++) {
              const order = permutation(used.length, seed, epoch);
              const rows = [...order].map((i) => sequences[used[i] as number] as TokenSequence);
              for (const part of chunks(rows, o.batchSize * o.gradientAccumulation)) {
                const items = part.reduce((n, { ids }) => n + ids.length, 0);
                const micro = chunks(part, o.batchSize).map(responseArrays);
                addMetrics(metrics, await policy.update(micro, items, policy.rate(step)));
                updates++;
              }
            }
            const own = sampleFrom === "policy" ? await policy.referenceOf(found, step) : undefined;
            return {
              metrics: {
                ...sampleMetrics(found),
                ...(own && { "objective/kl": sampledKlOf(responses, own) }),
                "objective/scores_kept": meanOf(used.map((i) => scores[i] as number)),
                "selection/kept": used.length,
                frac_reward_zero_std: equalGroups / prompts.length,
                ...Object.fromEntries(
                  Object.entries(metrics).map(([name, value]) => [name, value / Math.max(1, updates)]),
                ),
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
