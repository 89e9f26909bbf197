/**
 * Trust region policy optimisation (Schulman et al. 2015) of a language model: the largest step along the natural
 * gradient that keeps the policy within `max_kl` of what it was, tried out before it is made.
 *
 *     rollout     n responses to each prompt                                              groups.ts
 *     score       R = score - beta sum_t (log pi - log ref)
 *     advantage   A = R - mean of the other responses to the prompt                       (RLOO's baseline; no critic)
 *     step        natural gradient by conjugate gradients, line search                    trust-region.ts
 */

import { flatten, type HostArray, type Resident, type Tensor, type Tree, unflatten } from "../graph/index.ts";
import { schedule } from "../optim/index.ts";
import { TrainError } from "./errors.ts";
import { frozenIn, specsOf, trainableOf } from "./loop/trainable.ts";
import { meanOf, sampledKlOf, sampleGroups, sampleMetrics, shown } from "./online/groups.ts";
import { samplingPolicy } from "./online/online-policy.ts";
import { createTrustRegion } from "./online/trust-region.ts";
import { groupFigures, leaveOneOut } from "./policy/groups.ts";
import {
  type IterationOptions,
  iterationDefaults,
  iterationSettings,
  type PolicyHooks,
  type PolicyResult,
  runIterations,
} from "./policy/run/iterations.ts";

export interface TrpoOptions
  extends Omit<
    IterationOptions,
    | "learningRate"
    | "optimizer"
    | "adamBeta1"
    | "adamBeta2"
    | "adamEpsilon"
    | "momentum"
    | "lionBeta1"
    | "lionBeta2"
    | "emaDecay"
    | "weightDecay"
    | "maxGradNorm"
    | "gradientAccumulation"
  > {
  /** Responses to each prompt. */
  readonly numGenerations?: number | undefined;
  /** beta: what the KL to the reference costs, in the reward; 0 for none. */
  readonly klCoef?: number | undefined;
  /** delta: nats a token against the policy before the step; it follows `lrSchedulerType`. */
  readonly maxKl?: number | undefined;
  /** Iterations of conjugate gradients. */
  readonly cgIterations?: number | undefined;
  /** Added to the diagonal of the Fisher matrix. */
  readonly damping?: number | undefined;
  /** Step lengths that are tried. */
  readonly backtrackIterations?: number | undefined;
  /** Each is the one before times this. */
  readonly backtrackCoef?: number | undefined;
}

/** Defaults, as the help texts print them. */
export const trpoDefaults = {
  ...iterationDefaults,
  lrSchedulerType: "constant",
  numGenerations: 8,
  klCoef: 0.05,
  maxKl: 0.01,
  cgIterations: 10,
  damping: 1e-2,
  backtrackIterations: 10,
  backtrackCoef: 0.5,
} as const satisfies Partial<TrpoOptions> & Partial<IterationOptions>;

/**
 * The options over their defaults, checked.
 *
 * @throws TrainError for settings that contradict each other or cannot be meant
 */
export function trpoSettings(options: TrpoOptions) {
  const o = iterationSettings(trpoDefaults, options);
  checkTrpo(o);
  if (o.gradientCheckpointing || o.logitsChunkSize !== undefined)
    throw new TrainError(
      "trpo: gradient_checkpointing and logits_chunk_size are not for it, whose Fisher products differentiate twice; leave them out and make batch_size smaller, which changes nothing but memory",
    );
  return o;
}

/**
 * Optimises a policy against a reward in trust regions.
 *
 * @throws DataError, RewardError, RunError or TrainError with what is required, what came and what to do
 * @example
 * const { policy } = await trpo({
 *   model: await loadModel("my-model"),
 *   prompts: "prompts.jsonl",
 *   reward: "rule:plain_language",
 *   maxKl: 0.01,
 * });
 */
export async function trpo(options: TrpoOptions, hooks: PolicyHooks = {}): Promise<PolicyResult> {
  const o = trpoSettings(options);
  const { numGenerations, klCoef, maxKl, cgIterations, damping, backtrackIterations, backtrackCoef } = o;
  return runIterations(
    o,
    {
      name: "trpo",
      promptsPerStep: o.promptsPerStep,
      decisive: { numGenerations, klCoef, maxKl, cgIterations, damping, backtrackIterations, backtrackCoef },
      async open(place) {
        const { engine, model, from, totalSteps } = place;
        const trainable = trainableOf(model, o.lora, o.seed);
        const given = from ? trainable.trainedOf(await from.model()) : trainable.parameters;
        // In one order, whatever a file's is: inner products are sums, and sums have an order.
        const start = Object.fromEntries(
          Object.keys(trainable.parameters).map((name) => [name, given[name] as HostArray]),
        );
        const weights = (await engine.put(unflatten(start))) as Tree<Resident>;
        const frozen = await frozenIn(engine, trainable);
        const base = frozen.batch({}).frozen as Tree<Resident> | undefined;
        const parameters = async () => flatten(await engine.get(weights)) as Record<string, HostArray>;
        const policy = samplingPolicy(place, o, { trainable, weights, parameters });
        const region = await createTrustRegion(
          engine,
          {
            config: model.config,
            specs: specsOf(start),
            parameters: weights,
            ...(trainable.frozen && base && { frozenSpecs: specsOf(trainable.frozen), frozen: base }),
            whole: (params: Tree<Tensor>, frozen) => trainable.whole(params, { frozen }),
          },
          o,
        );
        const bound = schedule(o.lrSchedulerType, maxKl, {
          totalSteps,
          warmupSteps: o.warmupSteps ?? Math.ceil((o.warmupRatio ?? 0) * totalSteps),
        });
        return {
          model: policy.model,
          arrays: async () => ({}),
          async iterate(prompts, step) {
            const found = await sampleGroups(o, place.reward, policy.sample, prompts, {
              step,
              samples: numGenerations,
            });
            const { responses, sequences, scores } = found;
            const reference = await policy.referenceOf(found, step);
            const advantages = leaveOneOut(
              scores.map(
                (score, i) =>
                  score - klCoef * sampledKlOf(responses.slice(i, i + 1), [reference[i] as Float64Array]),
              ),
              numGenerations,
            );
            const figures = await region.step(
              {
                sequences,
                oldLogProbs: responses.map(({ logProbs }) => logProbs),
                advantages: sequences.map(({ ids }, i) => Array.from(ids, () => advantages[i] as number)),
              },
              bound(step),
            );
            const kl = sampledKlOf(responses, reference);
            const score = meanOf(scores);
            return {
              metrics: {
                ...sampleMetrics(found),
                "objective/kl": kl,
                "objective/non_score_reward": -klCoef * kl,
                "objective/rlhf_reward": score - klCoef * kl,
                ...groupFigures(scores, numGenerations),
                "policy/kl_step": figures.kl,
                "policy/surrogate_gain": figures.improvement,
                "policy/step_fraction": figures.stepFraction,
                "policy/cg_iterations": figures.cgIterations,
                "policy/cg_residual": figures.cgResidual,
                grad_norm: figures.gradNorm,
                max_kl: bound(step),
              },
              responses: responses.length,
              tokens: found.tokens,
              samples: shown(found, o.numSamples),
            };
          },
          async dispose() {
            await policy.dispose();
            await region.dispose();
            await engine.free(weights);
            await frozen.free();
          },
        };
      },
    },
    hooks,
  );
}

type Settings = Pick<
  Required<TrpoOptions>,
  "numGenerations" | "klCoef" | "maxKl" | "cgIterations" | "damping" | "backtrackIterations" | "backtrackCoef"
>;

function checkTrpo(o: { readonly [K in keyof Settings]: number }): void {
  const refuse = (name: string, required: string, got: number) => {
    throw new TrainError(`${name}: ${required}, got ${got}`);
  };
  const isCount = (x: number, least: number) => Number.isInteger(x) && x >= least;
  if (!isCount(o.numGenerations, 2))
    refuse(
      "num_generations",
      "a response is compared with the others to its prompt, so at least 2 are required",
      o.numGenerations,
    );
  if (!(o.klCoef >= 0)) refuse("kl_coef", "at least 0 is required", o.klCoef);
  if (!(o.maxKl > 0)) refuse("max_kl", "nats a token above 0 are required", o.maxKl);
  if (!isCount(o.cgIterations, 1))
    refuse("cg_iterations", "a whole number of at least 1 is required", o.cgIterations);
  if (!(o.damping >= 0)) refuse("damping", "at least 0 is required", o.damping);
  if (!isCount(o.backtrackIterations, 1))
    refuse("backtrack_iterations", "a whole number of at least 1 is required", o.backtrackIterations);
  if (!(o.backtrackCoef > 0 && o.backtrackCoef < 1))
    refuse("backtrack_coef", "a share between 0 and 1 is required", o.backtrackCoef);
}
