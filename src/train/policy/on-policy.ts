/**
 * One iteration of an on-policy method on responses that are there already: reference and values, advantages, updates.
 *
 * What differs from method to method is an `Algorithm` (algorithm.ts). `runOnPolicy` is the loop around it; whoever samples
 * or scores elsewhere calls `step` with what came of it.
 */

import type { TokenSequence } from "../../data/response-rows.ts";
import {
  createTokenPass,
  exactKlFigure,
  logProbsFigure,
  type TokenFigure,
} from "../../evaluate/token-pass.ts";
import { frozenWeights } from "../../generate/weights.ts";
import {
  type Engine,
  type HostArray,
  type Resident,
  type Tensor,
  type Tree,
  unflatten,
} from "../../graph/index.ts";
import { createEngine } from "../../graph/node.ts";
import { randomBits } from "../../graph/random.ts";
import { loadModel, type Model } from "../../models/load.ts";
import { traced } from "../../models/tracing.ts";
import { schedule } from "../../optim/index.ts";
import { TrainError } from "../errors.ts";
import { checkMemory, countOf, stepSize } from "../loop/memory.ts";
import { checkVocabulary } from "../loop/same-vocabulary.ts";
import { tracingOf } from "../loop/step.ts";
import { trainableOf } from "../loop/trainable.ts";
import { optimizerOf } from "../loop/trainer-options.ts";
import type { PpoSettings } from "../ppo-options.ts";
import type { Algorithm } from "./algorithm.ts";
import {
  checkFinite,
  checkInput,
  checkStart,
  int8Offset,
  largestDifference,
  type StepInput,
} from "./checks.ts";
import { type Critic, criticFrom, separateCritic, sharedCritic } from "./critic.ts";
import { importanceOf, penalised, sampledKl } from "./experience.ts";
import { nextKlCoef } from "./kl.ts";
import { createKlBound, startOfBound } from "./kl-bound.ts";
import { perToken, responseKl } from "./metrics.ts";
import { baseOf, frozenSpecs, type PolicyParts, policyOf, trainedSpecs, valuesFigure } from "./parts.ts";
import { createSampler, type RolloutPrompt, type RolloutResponse } from "./rollouts.ts";
import { adapterArrays, type PolicyFrom, type PolicyState, startFrom } from "./run/state.ts";
import { planUpdates } from "./update/plan.ts";
import { createUpdater } from "./update/updater.ts";

export interface PolicyCourse {
  /** Iterations over which the learning rate falls and an annealed KL coefficient changes. */
  readonly totalSteps: number;
  /** In tokens; with it, a step that does not fit into memory is refused, unless `memoryCheck` is off. */
  readonly longestPrompt?: number | undefined;
  readonly from?: PolicyFrom | undefined;
  readonly onWarning?: ((text: string) => void) | undefined;
}

export interface OnPolicy {
  readonly state: Readonly<PolicyState>;
  /** Responses of the policy as it is now; a function of seed and iteration. */
  rollout(prompts: readonly RolloutPrompt[], signal?: AbortSignal): Promise<RolloutResponse[]>;
  /** Learns from an iteration's responses; metrics as in metrics.ts. */
  step(input: StepInput): Promise<Record<string, number>>;
  policy(): Promise<Model>;
  /** The moving average of the policies, where `emaDecay` asks for one. */
  averagedPolicy(): Promise<Model | undefined>;
  /** Of methods that have one. */
  critic(): Promise<Model | undefined>;
  /** Of the optimisers; and adapters, where the models that are saved do not tell them. */
  arrays(): Promise<Record<string, HostArray>>;
  dispose(): Promise<void>;
}

/** Responses that are sampled together, where memory does not ask for more than a micro-batch anyway. */
const rolloutRows = 64;

async function criticOfOptions(o: PpoSettings, model: Model): Promise<Critic> {
  if (o.sharedBackbone) return sharedCritic(model);
  if (o.critic === "reward") throw new TrainError('critic: "reward" needs a reward that is a model');
  const given = typeof o.critic === "string" && o.critic !== "policy" ? await loadModel(o.critic) : o.critic;
  const start = given === "policy" ? criticFrom(model) : criticFrom(given as Model, "keep");
  checkVocabulary(model, start, "critic");
  return separateCritic(start, o.lora, o.seed + 1);
}

/**
 * Prepares policy, reference, optimisers, and a critic where the method has one, in an engine.
 *
 * @param o settings of the method over those of PPO, which name everything that the methods share
 * @throws TrainError for options that contradict each other and models that do not fit together
 */
export async function createOnPolicy(
  algorithm: Algorithm,
  o: PpoSettings,
  { totalSteps, longestPrompt, from, onWarning }: PolicyCourse,
): Promise<OnPolicy> {
  const { model } = o;
  const { samples } = algorithm;
  const { config, tokenizer } = model;
  if (!tokenizer)
    throw new TrainError(`${model.name}: ${algorithm.name} needs a tokenizer, the model has none`);
  const reference = o.refModel ?? model;
  checkVocabulary(model, reference, "ref_model");
  const parts: PolicyParts = {
    config,
    policy: trainableOf(model, o.lora, o.seed),
    ...(algorithm.critic && { critic: await criticOfOptions(o, model) }),
  };
  const optimizer = optimizerOf(o);
  const rows = o.batchSize * o.gradientAccumulation;
  if (o.memoryCheck && longestPrompt !== undefined) {
    const largest = {
      ...o,
      rows: Math.min(o.batchSize, Math.ceil(rows / o.numMiniBatches)),
      length: longestPrompt + o.responseLength,
    };
    const step = stepSize(model, parts.policy, optimizer, largest);
    const critic = parts.critic ? stepSize(model, parts.critic.trainable, optimizer, largest).parameters : 0;
    const held = algorithm.reference && !(o.lora && !o.refModel) ? countOf(reference.parameters) : 0;
    checkMemory(
      { ...step, parameters: step.parameters + critic, frozen: (step.frozen ?? 0) + held },
      o.memoryCheck,
    );
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
    { policy: optimizer, ...(parts.critic && { critic: optimizer }) },
    algorithm.update,
    from && (await startFrom(from, parts, o.lora !== undefined)),
  );
  const { weights } = updater;

  const referenceIsBase = o.lora !== undefined && o.refModel === undefined;
  const frozen = frozenWeights(reference, o.int8Reference ?? false);
  const fixed = referenceIsBase ? {} : frozen.arrays;
  const referenceOf = referenceIsBase
    ? baseOf
    : (all: Tree<Tensor>): Tree<Tensor> => frozen.read(all.fixed as Tree<Tensor>);
  const pass = (figure: TokenFigure, still: Tree<HostArray> = {}) =>
    createTokenPass(engine, (all, batch) => traced(tracingOf(o), () => figure(all, batch)), {
      weights: { params: trainedSpecs(parts), frozen: frozenSpecs(parts) },
      fixed: still,
      batchSize: o.batchSize,
    });
  const passes = {
    ...(algorithm.reference && {
      reference: await pass(logProbsFigure(reference.config, referenceOf), fixed),
    }),
    ...(algorithm.critic && { values: await pass(valuesFigure(parts)) }),
    policy: await pass(logProbsFigure(config, policyOf(parts))),
    ...(((algorithm.reference && o.klEstimator === "exact") || o.klBound !== undefined) && {
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
  const bound =
    o.klBound === undefined
      ? undefined
      : createKlBound(engine, {
          bound: o.klBound,
          weights: weights.params.policy as Tree<Resident>,
          start: startOfBound(parts.policy, o.refModel, o.lora !== undefined),
        });
  const rate = (peak: number) =>
    schedule(o.lrSchedulerType, peak, {
      totalSteps,
      warmupSteps: o.warmupSteps ?? Math.ceil((o.warmupRatio ?? 0) * totalSteps),
    });
  const [policyRate, criticRate] = [rate(o.learningRate), rate(o.criticLearningRate ?? o.learningRate)];
  const state: PolicyState = { step: 0, episode: 0, num_tokens: 0, klCoef: o.klCoef, ...from?.state };
  let checked = false;

  /** The policy's log-probabilities before the updates: as stored at sampling, or computed where they cannot be that. */
  async function oldPolicy(sequences: readonly TokenSequence[], { responses }: StepInput) {
    const stored = responses.every(({ logProbs }) => logProbs)
      ? responses.map(({ logProbs }) => Float64Array.from(logProbs as readonly number[]))
      : undefined;
    if (stored && checked && !o.int8Rollouts) return { logProbs: stored };
    const computed = await run("policy", sequences);
    if (!stored) return { logProbs: computed };
    checked = true;
    const offset = largestDifference(stored, computed);
    if (o.int8Rollouts) return { logProbs: computed, importance: importanceOf(computed, stored), offset };
    checkStart(offset, "at sampling and in training", o.temperature);
    return { logProbs: stored };
  }

  return {
    state,
    rollout: (prompts, signal) =>
      sampler.sample(prompts, { samples, seed: randomBits(o.seed, state.step), ...(signal && { signal }) }),

    async step(input) {
      checkInput(input, rows, samples);
      const { prompts, responses, rewards } = input;
      const started = performance.now();
      const isStart = state.step === 0;
      const { klCoef } = state;
      const sequences = responses.map(({ ids }, i) => ({
        promptIds: (prompts[Math.floor(i / samples)] as RolloutPrompt).ids,
        ids,
      }));
      const terminated = responses.map((response) => response.terminated);

      const { logProbs, importance, offset } = await oldPolicy(sequences, input);
      const refLogProbs = algorithm.reference ? await run("reference", sequences) : undefined;
      const values = algorithm.critic ? await run("values", sequences) : undefined;
      const referenceOffset =
        isStart && refLogProbs && !o.refModel ? largestDifference(logProbs, refLogProbs) : undefined;
      if (referenceOffset !== undefined && o.int8Reference) onWarning?.(int8Offset(referenceOffset));
      else if (referenceOffset !== undefined && !o.int8Rollouts)
        checkStart(referenceOffset, "of policy and reference", o.temperature);
      const kl =
        refLogProbs &&
        (o.klEstimator === "exact"
          ? await run("exactKl", sequences)
          : sampledKl(o.klEstimator, logProbs, refLogProbs));
      const scores = penalised(rewards, terminated, o.missingEosPenalty);
      const found = { refLogProbs, values, kl, scores, terminated, klCoef, importance };
      const old = { sequences, oldLogProbs: logProbs };
      const { figures = {}, ...learned } = algorithm.experience({ ...old, ...found });
      const experience = { ...old, refLogProbs, klCoef, ...learned };
      const scored = performance.now();

      const plan = planUpdates(sequences, {
        ...o,
        seed: randomBits(o.seed, state.step, 1),
        skipped: experience.skipped,
      });
      const learningRate = policyRate(state.step);
      const updates = await updater.update(experience, plan, {
        temperature: o.temperature,
        learningRate,
        criticLearningRate: criticRate(state.step),
      });
      checkFinite(updates, state.step + 1);
      if (isStart && updates[0]?.max_log_ratio !== undefined)
        checkStart(updates[0].max_log_ratio, "at sampling and in the update", o.temperature);

      const held = await bound?.hold(async () => perToken(await run("exactKl", sequences)));

      state.step++;
      state.episode += responses.length;
      state.num_tokens += sequences.reduce((n, s) => n + s.promptIds.length + s.ids.length, 0);
      const reading = {
        step: state.step,
        totalSteps,
        kl: kl ? responseKl({ kl }) : 0,
        responses: responses.length,
      };
      state.klCoef = nextKlCoef(klCoef, o, reading);
      if (offset !== undefined && isStart)
        onWarning?.(`sampling in 8 bits moves log-probabilities by up to ${offset.toFixed(3)} nats`);
      return {
        ...algorithm.metrics({ ...found, logProbs, updates, figures }),
        ...(offset !== undefined && { "val/sampling_offset": offset }),
        ...(o.int8Reference && referenceOffset !== undefined && { "val/reference_offset": referenceOffset }),
        ...(held && { "constraint/kl": held.kl, "constraint/scale": held.scale }),
        lr: learningRate,
        episode: state.episode,
        num_tokens: state.num_tokens,
        "time/score": (scored - started) / 1000,
        "time/update": (performance.now() - scored) / 1000,
      };
    },

    policy: async () => parts.policy.modelWith((await updater.parameters()).policy),
    async averagedPolicy() {
      const average = await updater.average();
      return average && parts.policy.modelWith(average.policy);
    },
    async critic() {
      const trained = await updater.parameters();
      return (
        parts.critic &&
        trained.critic &&
        parts.critic.modelWith(parts.policy.modelWith(trained.policy), trained.critic)
      );
    },
    arrays: async () => ({
      ...(await updater.state()),
      ...(o.lora && adapterArrays(await updater.parameters())),
    }),
    async dispose() {
      await sampler.dispose();
      for (const p of Object.values(passes)) await p.dispose();
      await bound?.dispose();
      await updater.free();
      if (!o.engine) await engine.dispose();
    },
  };
}
