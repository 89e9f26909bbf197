/**
 * One iteration of PPO on responses that are there already: reference and values, advantages, updates.
 *
 * `ppo` (ppo.ts) is the loop around it; whoever samples or scores elsewhere calls `step` with what came of it.
 */

import { createTokenPass, exactKlFigure, logProbsFigure, type TokenFigure } from "../evaluate/token-pass.ts";
import {
  type Engine,
  type HostArray,
  type Resident,
  type Tensor,
  type Tree,
  unflatten,
} from "../graph/index.ts";
import { createEngine } from "../graph/node.ts";
import { randomBits } from "../graph/random.ts";
import { loadModel, type Model, type Parameters } from "../models/load.ts";
import type { TokenSequence } from "../models/response-rows.ts";
import { adam, adamw, type Optimizer, schedule } from "../optim/index.ts";
import { gae, tokenRewards, whiten } from "./advantages.ts";
import { TrainError } from "./errors.ts";
import { klEstimators, type klTerms, nextKlCoef, type SampledKl } from "./kl.ts";
import { checkMemory, stepSize } from "./memory.ts";
import { type Critic, criticFrom, separateCritic, sharedCritic } from "./ppo-critic.ts";
import { ppoMetrics, responseKl } from "./ppo-metrics.ts";
import { type PpoSettings, type PpoStepOptions, settingsOf } from "./ppo-options.ts";
import { baseOf, frozenSpecs, type PpoParts, policyOf, trainedSpecs, valuesFigure } from "./ppo-parts.ts";
import { planUpdates } from "./ppo-plan.ts";
import { createUpdater, type Experience } from "./ppo-updater.ts";
import { createSampler, type RolloutPrompt, type RolloutResponse } from "./rollouts.ts";
import { checkVocabulary } from "./same-vocabulary.ts";
import { trainableOf } from "./trainable.ts";
import { optimizerOf } from "./trainer-options.ts";

/** What `step` needs of a response. */
export interface StepResponse {
  readonly ids: readonly number[];
  /** Of the policy that sampled, in nats a token; computed when they are left out. */
  readonly logProbs?: readonly number[] | undefined;
  readonly terminated: boolean;
}

export interface StepInput {
  readonly prompts: readonly Pick<RolloutPrompt, "ids">[];
  /** `responses[i]` answers `prompts[i]`. */
  readonly responses: readonly StepResponse[];
  /** A score for each response. */
  readonly rewards: readonly number[];
}

/** Where a run stands; JSON. */
export interface PpoState {
  /** Iterations that are done. */
  step: number;
  episode: number;
  /** Tokens of prompts and responses. */
  num_tokens: number;
  klCoef: number;
}

/** What a trainer goes on from. */
export interface PpoFrom {
  readonly state: PpoState;
  readonly arrays: Readonly<Record<string, HostArray>>;
  readonly model: () => Promise<Model>;
  readonly critic: () => Promise<Model>;
}

export interface PpoCourse {
  /** Iterations over which the learning rate falls and an annealed KL coefficient changes. */
  readonly totalSteps: number;
  /** In tokens; with it, a step that does not fit into memory is refused, unless `memoryCheck` is off. */
  readonly longestPrompt?: number | undefined;
  readonly from?: PpoFrom | undefined;
  readonly onWarning?: ((text: string) => void) | undefined;
}

export interface Ppo {
  readonly state: Readonly<PpoState>;
  /** Responses of the policy as it is now; a function of seed and iteration. */
  rollout(prompts: readonly RolloutPrompt[], signal?: AbortSignal): Promise<RolloutResponse[]>;
  /** Learns from an iteration's responses; metrics as in ppo-metrics.ts. */
  step(input: StepInput): Promise<Record<string, number>>;
  policy(): Promise<Model>;
  critic(): Promise<Model>;
  /** Of both optimisers; and adapters, where the models that are saved do not tell them. */
  arrays(): Promise<Record<string, HostArray>>;
  dispose(): Promise<void>;
}

/** Log ratios at the start may differ from 0 by rounding alone. */
const startTolerance = 1e-3;
/** Responses that are sampled together, where memory does not ask for more than a micro-batch anyway. */
const rolloutRows = 64;
/** Caps the correction of responses that were sampled in 8 bits. */
const importanceCap = 2;

const optimizerFor = (o: PpoSettings): Optimizer => {
  if (o.optimizer === "sgd") return optimizerOf(o);
  return (o.optimizer === "adamw" ? adamw : adam)({
    betas: [o.adamBeta1, o.adamBeta2],
    eps: o.adamEpsilon,
    weightDecay: o.weightDecay,
    epsilonPlacement: o.epsilonPlacement,
  });
};

async function criticOfOptions(o: PpoSettings, model: Model): Promise<Critic> {
  if (o.sharedBackbone) return sharedCritic(model);
  if (o.critic === "reward") throw new TrainError('critic: "reward" needs a reward that is a model');
  const given = typeof o.critic === "string" && o.critic !== "policy" ? await loadModel(o.critic) : o.critic;
  const start = given === "policy" ? criticFrom(model) : criticFrom(given as Model, "keep");
  checkVocabulary(model, start, "critic");
  return separateCritic(start, o.lora, o.seed + 1);
}

/**
 * Prepares policy, critic, reference and optimisers in an engine.
 *
 * @throws TrainError for options that contradict each other and models that do not fit together
 * @example
 * const trainer = await createPpo({ model, learningRate: 1e-5 }, { totalSteps: 10 });
 * const responses = await trainer.rollout(prompts);
 * const metrics = await trainer.step({ prompts, responses, rewards: responses.map(({ ids }) => -ids.length) });
 */
export async function createPpo(
  options: PpoStepOptions,
  { totalSteps, longestPrompt, from, onWarning }: PpoCourse,
): Promise<Ppo> {
  const o = settingsOf(options);
  const { model } = o;
  const { config, tokenizer } = model;
  if (!tokenizer) throw new TrainError(`${model.name}: ppo needs a tokenizer, the model has none`);
  const reference = o.refModel ?? model;
  checkVocabulary(model, reference, "ref_model");
  const parts: PpoParts = {
    config,
    policy: trainableOf(model, o.lora, o.seed),
    critic: await criticOfOptions(o, model),
  };
  const optimizer = optimizerFor(o);
  const rows = o.batchSize * o.gradientAccumulation;
  if (o.memoryCheck && longestPrompt !== undefined) {
    const largest = { rows: o.batchSize, length: longestPrompt + o.responseLength };
    const step = stepSize(model, parts.policy, optimizer, largest);
    const critic = stepSize(model, parts.critic.trainable, optimizer, largest);
    checkMemory({ ...step, parameters: step.parameters + critic.parameters });
  }
  const engine: Engine =
    o.engine ??
    (await createEngine({
      ...(o.provider !== undefined && { provider: o.provider }),
      ...(o.threads !== undefined && { threads: o.threads }),
    }));

  const updater = await createUpdater(
    engine,
    parts,
    { policy: optimizer, critic: optimizer },
    {
      ...o,
      ...(o.klIn === "loss" && { klTerm: o.klEstimator as keyof typeof klTerms }),
    },
    from && (await startFrom(from, parts, o.lora !== undefined)),
  );
  const { weights } = updater;

  const referenceIsBase = o.lora !== undefined && o.refModel === undefined;
  const fixed = referenceIsBase ? {} : unflatten(reference.parameters);
  const referenceOf = referenceIsBase
    ? baseOf
    : (all: Tree<Tensor>): Tree<Tensor> => all.fixed as Tree<Tensor>;
  const pass = (figure: TokenFigure, still: Tree<HostArray> = {}) =>
    createTokenPass(engine, figure, {
      weights: { params: trainedSpecs(parts), frozen: frozenSpecs(parts) },
      fixed: still,
      batchSize: o.batchSize,
    });
  const passes = {
    reference: await pass(logProbsFigure(reference.config, referenceOf), fixed),
    values: await pass(valuesFigure(parts)),
    policy: await pass(logProbsFigure(config, policyOf(parts))),
    ...(o.klEstimator === "exact" && {
      exactKl: await pass(exactKlFigure(config, policyOf(parts), referenceOf), fixed),
    }),
  };
  const run = (name: keyof typeof passes, sequences: readonly TokenSequence[]) =>
    (passes[name] as NonNullable<(typeof passes)[typeof name]>).run(weights, sequences, o.temperature);

  const merged = async (): Promise<Tree<HostArray>> =>
    unflatten(parts.policy.modelWith((await updater.parameters()).policy).parameters);
  const sampler = createSampler(
    engine,
    config,
    o.lora || o.int8Rollouts ? merged : (weights.params.policy as Tree<Resident>),
    {
      tokenizer,
      temperature: o.temperature,
      maxNewTokens: o.responseLength,
      stopTokenIds: o.stopTokenIds,
      batchSize: Math.max(o.batchSize, Math.min(rows, rolloutRows)),
      int8: o.int8Rollouts,
    },
  );
  const rate = (peak: number) =>
    schedule(o.lrSchedulerType, peak, {
      totalSteps,
      warmupSteps: o.warmupSteps || Math.ceil((o.warmupRatio ?? 0) * totalSteps),
    });
  const [policyRate, criticRate] = [rate(o.learningRate), rate(o.criticLearningRate ?? o.learningRate)];
  const state: PpoState = { step: 0, episode: 0, num_tokens: 0, klCoef: o.klCoef, ...from?.state };
  let checked = false;

  /** The policy's own log-probabilities and, for each token, how much to trust one that came from elsewhere. */
  async function oldPolicy(sequences: readonly TokenSequence[], responses: readonly StepResponse[]) {
    const stored = responses.every(({ logProbs }) => logProbs)
      ? responses.map(({ logProbs }) => Float64Array.from(logProbs as readonly number[]))
      : undefined;
    if (stored && checked && !o.int8Rollouts) return { logProbs: stored };
    const computed = await run("policy", sequences);
    if (!stored) return { logProbs: computed };
    checked = true;
    const offset = largestDifference(stored, computed);
    if (o.int8Rollouts) {
      const importance = computed.map((row, i) =>
        row.map((x, t) => Math.min(importanceCap, Math.exp(x - (stored[i]?.[t] as number)))),
      );
      return { logProbs: computed, importance, offset };
    }
    checkStart(offset, "at sampling and in training", o.temperature);
    return { logProbs: stored };
  }

  return {
    state,
    rollout: (prompts, signal) =>
      sampler.sample(prompts, { seed: randomBits(o.seed, state.step), ...(signal && { signal }) }),

    async step({ prompts, responses, rewards }) {
      checkInput(prompts, responses, rewards, rows);
      const started = performance.now();
      const sequences = responses.map(({ ids }, i) => ({
        promptIds: (prompts[i] as RolloutPrompt).ids,
        ids,
      }));
      const old = await oldPolicy(sequences, responses);
      const refLogProbs = await run("reference", sequences);
      const values = await run("values", sequences);
      const kl =
        o.klEstimator === "exact"
          ? await run("exactKl", sequences)
          : old.logProbs.map((row, i) =>
              sampledKl(o.klEstimator as SampledKl, row, refLogProbs[i] as Float64Array),
            );
      const scores = rewards.map((score, i) =>
        responses[i]?.terminated ? score : score - (o.missingEosPenalty ?? 0),
      );

      const isStart = state.step === 0;
      if (isStart && !o.refModel && !o.int8Rollouts)
        checkStart(largestDifference(old.logProbs, refLogProbs), "of policy and reference", o.temperature);

      const { klCoef } = state;
      const raw = kl.map((row, i) =>
        tokenRewards(row, o.klIn === "reward" ? klCoef : 0, scores[i] as number),
      );
      const tokens = o.whitenRewards ? whiten(raw, { shiftMean: false }) : raw;
      const estimates = tokens.map((row, i) => gae(row, values[i] as Float64Array, o));
      const advantages = whiten(estimates.map((e) => e.advantages));
      const { importance } = old;
      const experience: Experience = {
        sequences,
        oldLogProbs: old.logProbs,
        refLogProbs,
        klCoef,
        advantages: importance
          ? advantages.map((row, i) => row.map((a, t) => a * (importance[i]?.[t] as number)))
          : advantages,
        returns: estimates.map((e) => e.returns),
        values,
      };
      const scored = performance.now();

      const learningRate = policyRate(state.step);
      const updates = await updater.update(
        experience,
        planUpdates(sequences, { ...o, seed: randomBits(o.seed, state.step, 1) }),
        { temperature: o.temperature, learningRate, criticLearningRate: criticRate(state.step) },
      );
      const bad = updates.findIndex((update) => !Object.values(update).every(Number.isFinite));
      if (bad >= 0)
        throw new TrainError(
          `step ${state.step + 1}: update ${bad + 1} is not finite (${JSON.stringify(updates[bad])}), training stops; lower the learning rate`,
        );
      if (isStart)
        checkStart(updates[0]?.max_log_ratio as number, "at sampling and in the update", o.temperature);
      state.step++;
      state.episode += responses.length;
      state.num_tokens += sequences.reduce((n, s) => n + s.promptIds.length + s.ids.length, 0);
      const reading = { step: state.step, totalSteps, kl: responseKl({ kl }), responses: responses.length };
      state.klCoef = nextKlCoef(klCoef, o, reading);
      if (old.offset !== undefined && state.step === 1)
        onWarning?.(`sampling in 8 bits moves log-probabilities by up to ${old.offset.toFixed(3)} nats`);
      return {
        ...ppoMetrics({
          kl,
          logProbs: old.logProbs,
          scores,
          terminated: responses.map(({ terminated }) => terminated),
          klCoef,
          updates,
        }),
        ...(old.offset !== undefined && { "val/sampling_offset": old.offset }),
        lr: learningRate,
        episode: state.episode,
        num_tokens: state.num_tokens,
        "time/score": (scored - started) / 1000,
        "time/update": (performance.now() - scored) / 1000,
      };
    },

    policy: async () => parts.policy.modelWith((await updater.parameters()).policy),
    async critic() {
      const trained = await updater.parameters();
      return parts.critic.modelWith(parts.policy.modelWith(trained.policy), trained.critic);
    },
    async arrays() {
      const { policy, critic } = o.lora ? await updater.parameters() : { policy: {}, critic: {} };
      return {
        ...(await updater.state()),
        ...under("adapters.policy", policy),
        ...under("adapters.critic", critic),
      };
    },
    async dispose() {
      await sampler.dispose();
      for (const p of Object.values(passes)) await p.dispose();
      await updater.free();
      if (!o.engine) await engine.dispose();
    },
  };
}

const under = (prefix: string, arrays: Parameters): Record<string, HostArray> =>
  Object.fromEntries(Object.entries(arrays).map(([name, array]) => [`${prefix}.${name}`, array]));

const below = (prefix: string, arrays: Parameters): Record<string, HostArray> =>
  Object.fromEntries(
    Object.entries(arrays)
      .filter(([name]) => name.startsWith(`${prefix}.`))
      .map(([name, array]) => [name.slice(prefix.length + 1), array]),
  );

/** Parameters and optimiser state of a checkpoint. */
async function startFrom(
  { arrays, model, critic }: PpoFrom,
  { policy, critic: own }: PpoParts,
  adapted: boolean,
) {
  const isState = ([name]: [string, unknown]) => !name.startsWith("adapters.");
  return {
    state: Object.fromEntries(Object.entries(arrays).filter(isState)),
    parameters: adapted
      ? { policy: below("adapters.policy", arrays), critic: below("adapters.critic", arrays) }
      : { policy: policy.trainedOf(await model()), critic: own.trainedOf(await critic()) },
  };
}

const sampledKl = (estimator: SampledKl, logProbs: Float64Array, reference: Float64Array): Float64Array =>
  logProbs.map((x, t) => klEstimators[estimator](x - (reference[t] as number)));

/** At the start of a run nothing has been learned yet, so the ratio is 1 and the KL 0, but for rounding. */
function checkStart(difference: number, which: string, temperature: number): void {
  if (difference < startTolerance) return;
  throw new TrainError(
    `the log-probabilities ${which} differ by up to ${difference.toExponential(1)} nats before the first update, ` +
      `less than ${startTolerance} is required: were the responses sampled from this policy at temperature ${temperature}, ` +
      "without top-k, top-p or dropout?",
  );
}

const largestDifference = (a: readonly Float64Array[], b: readonly Float64Array[]): number =>
  Math.max(...a.flatMap((row, i) => Array.from(row, (x, t) => Math.abs(x - (b[i]?.[t] as number)))));

function checkInput(
  prompts: StepInput["prompts"],
  responses: readonly StepResponse[],
  rewards: readonly number[],
  rows: number,
): void {
  const counts = [prompts.length, responses.length, rewards.length];
  if (counts.some((n) => n !== rows))
    throw new TrainError(
      `step: ${rows} prompts, responses and rewards are required (batch_size * gradient_accumulation), got ${counts.join(", ")}`,
    );
  const bad = rewards.findIndex((x) => !Number.isFinite(x));
  if (bad >= 0) throw new TrainError(`step: rewards must be finite, number ${bad} is ${rewards[bad]}`);
  for (const [i, { ids, logProbs }] of responses.entries())
    if (ids.length === 0 || (logProbs && logProbs.length !== ids.length))
      throw new TrainError(
        `step: a response needs tokens, and a log-probability for each where they are given; response ${i} has ${ids.length} and ${logProbs?.length}`,
      );
}
