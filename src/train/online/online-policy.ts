/**
 * A policy that samples and learns in one engine: its weights stay there, samplers and passes read them where they are.
 * What it learns, and from which arrays, the method's loss says.
 */

import type { TokenSequence } from "../../data/response-rows.ts";
import { createTokenPass, logProbsFigure, type TokenPass } from "../../evaluate/token-pass.ts";
import { frozenWeights } from "../../generate/weights.ts";
import {
  flatten,
  type HostArray,
  type Resident,
  type Tensor,
  type TensorSpec,
  type Tree,
  unflatten,
} from "../../graph/index.ts";
import type { Model, Parameters } from "../../models/load.ts";
import type { Tokenizer } from "../../models/tokenizer/tokenizer.ts";
import { schedule } from "../../optim/index.ts";
import { checkMemory, stepSize } from "../loop/memory.ts";
import { checkVocabulary } from "../loop/same-vocabulary.ts";
import { type Loss, tracedLoss } from "../loop/step.ts";
import { createStepper } from "../loop/stepper.ts";
import { frozenIn, type Trainable, trainableOf, withFrozen } from "../loop/trainable.ts";
import { optimizerOf } from "../loop/trainer-options.ts";
import { checkStart, int8Offset, largestDifference } from "../policy/checks.ts";
import { createSampler, type RolloutPrompt, type RolloutResponse, type Sampler } from "../policy/rollouts.ts";
import type { IterationSettings, Place } from "../policy/run/iterations.ts";

/** Whom samples come from and whom they are compared with. */
export interface SamplingPolicy {
  /** `samples` responses to each prompt, those of one prompt together, from the policy as it is now. */
  sample(
    prompts: readonly RolloutPrompt[],
    options: { seed: number; samples: number },
  ): Promise<RolloutResponse[]>;
  /** The same from the reference. */
  sampleReference: SamplingPolicy["sample"];
  /** From policy^(1-coefficient) reference^coefficient, up to its norm. */
  sampleMixture(
    coefficient: number,
    prompts: readonly RolloutPrompt[],
    options: { seed: number; samples: number },
  ): Promise<RolloutResponse[]>;
  /** log ref of response tokens, in nats, at the temperature of sampling unless another is given. */
  referenceLogProbs(sequences: readonly TokenSequence[], temperature?: number): Promise<Float64Array[]>;
  /**
   * The same of responses as they were sampled. At the start of a run policy and reference are one model.
   *
   * @throws TrainError when they differ by more than rounding there
   */
  referenceOf(
    sampled: { readonly sequences: readonly TokenSequence[]; readonly responses: readonly SampledLogProbs[] },
    step: number,
  ): Promise<Float64Array[]>;
  model(): Promise<Model>;
  dispose(): Promise<void>;
}

export interface OnlinePolicyOptions {
  /** Over the whole parameter tree and a batch; divided by `num_items`. */
  readonly loss: Loss;
  /** Without `num_items`. */
  readonly batchSpec: Tree<TensorSpec>;
  /** An update may be cut into several micro-batches. */
  readonly accumulate: boolean;
}

export interface OnlinePolicy extends SamplingPolicy {
  /** The learning rate of an iteration. */
  rate(step: number): number;
  /** One update; `items` is what the loss is divided by, over all micro-batches. */
  update(
    micro: readonly Tree<HostArray>[],
    items: number,
    learningRate: number,
  ): Promise<Record<string, number>>;
  /** The moving average, where `emaDecay` asks for one. */
  averaged(): Promise<Model | undefined>;
  /** Of the optimiser. */
  arrays(): Promise<Record<string, HostArray>>;
}

type SampledLogProbs = Pick<RolloutResponse, "logProbs">;

/** Responses that are sampled together. */
const samplingRows = 64;

const samplingOf = (o: IterationSettings, tokenizer: Tokenizer) => ({
  tokenizer,
  temperature: o.temperature,
  maxNewTokens: o.responseLength,
  stopTokenIds: o.stopTokenIds,
  batchSize: Math.max(o.batchSize, samplingRows),
});

/** Samplers and reference around weights in the engine. */
export function samplingPolicy(
  { engine, model, tokenizer, onWarning }: Place,
  o: IterationSettings,
  {
    trainable,
    weights,
    parameters,
  }: { trainable: Trainable; weights: Tree<Resident>; parameters: () => Promise<Parameters> },
): SamplingPolicy {
  const reference = o.refModel ?? model;
  checkVocabulary(model, reference, "ref_model");
  const sampling = samplingOf(o, tokenizer);
  const merged = async () => unflatten(trainable.modelWith(await parameters()).parameters) as Tree<HostArray>;
  const sampler = createSampler(engine, model.config, o.lora ? merged : weights, sampling);
  let still: { sampler: Sampler; weights: Tree<Resident> } | undefined;
  let mixed: { sampler: Sampler; other?: Tree<Resident> } | undefined;
  let pass: TokenPass | undefined;
  const fixed = unflatten(reference.parameters) as Tree<HostArray>;
  const referenceLogProbs: SamplingPolicy["referenceLogProbs"] = async (
    sequences,
    temperature = o.temperature,
  ) => {
    const frozen = frozenWeights(reference, o.int8Reference ?? false);
    pass ??= await createTokenPass(
      engine,
      logProbsFigure(reference.config, (all: Tree<Tensor>) => frozen.read(all.fixed as Tree<Tensor>)),
      { weights: {}, fixed: frozen.arrays, batchSize: o.batchSize },
    );
    return pass.run({}, sequences, temperature);
  };
  return {
    sample: (prompts, options) => sampler.sample(prompts, options),
    async sampleReference(prompts, options) {
      if (!still) {
        const weights = await engine.put(fixed);
        still = { weights, sampler: createSampler(engine, reference.config, weights, sampling) };
      }
      return still.sampler.sample(prompts, options);
    },
    async sampleMixture(coefficient, prompts, options) {
      if (!mixed && o.lora) {
        const mixture = { weights: fixed, coefficient };
        mixed = { sampler: createSampler(engine, model.config, merged, { ...sampling, mixture }) };
      } else if (!mixed) {
        const other = (await engine.put(fixed)) as Tree<Resident>;
        const mixture = { weights: other, coefficient };
        mixed = { other, sampler: createSampler(engine, model.config, weights, { ...sampling, mixture }) };
      }
      return mixed.sampler.sample(prompts, options);
    },
    referenceLogProbs,
    async referenceOf({ sequences, responses }, step) {
      const found = await referenceLogProbs(sequences);
      if (step > 0 || o.refModel) return found;
      const stored = responses.map(({ logProbs }) => Float64Array.from(logProbs));
      const offset = largestDifference(stored, found);
      if (o.int8Reference) onWarning(int8Offset(offset));
      else checkStart(offset, "of policy and reference", o.temperature);
      return found;
    },
    model: async () => trainable.modelWith(await parameters()),
    async dispose() {
      await sampler.dispose();
      await still?.sampler.dispose();
      if (still) await engine.free(still.weights);
      await mixed?.sampler.dispose();
      if (mixed?.other) await engine.free(mixed.other);
      await pass?.dispose();
    },
  };
}

/** Prepares policy, reference, optimiser and samplers. */
export async function openOnlinePolicy(
  place: Place,
  o: IterationSettings,
  { loss, batchSpec, accumulate }: OnlinePolicyOptions,
): Promise<OnlinePolicy> {
  const { engine, model, longestPrompt, from, totalSteps } = place;
  const trainable = trainableOf(model, o.lora, o.seed);
  const optimizer = optimizerOf(o);
  if (o.memoryCheck)
    checkMemory(
      stepSize(model, trainable, optimizer, {
        ...o,
        rows: o.batchSize,
        length: longestPrompt + o.responseLength,
      }),
      o.memoryCheck,
    );
  const frozen = await frozenIn(engine, trainable);
  const stepper = await createStepper({
    engine,
    optimizer,
    ...(o.maxGradNorm > 0 && { maxGradNorm: o.maxGradNorm }),
    loss: tracedLoss(withFrozen(loss, trainable), o),
    parameters: unflatten(from ? trainable.trainedOf(await from.model()) : trainable.parameters),
    batch: frozen.spec(batchSpec),
    accumulate,
    packs: false,
    ...(from && { state: unflatten(from.arrays) }),
  });
  const parameters = async () => flatten(await stepper.parameters()) as Record<string, HostArray>;
  const sampling = samplingPolicy(place, o, { trainable, weights: stepper.packed, parameters });
  return {
    ...sampling,
    rate: schedule(o.lrSchedulerType, o.learningRate, {
      totalSteps,
      warmupSteps: o.warmupSteps ?? Math.ceil((o.warmupRatio ?? 0) * totalSteps),
    }),
    update: (micro, items, learningRate) => stepper.step(micro.map(frozen.batch), items, learningRate),
    async averaged() {
      if (o.emaDecay === undefined) return undefined;
      return trainable.modelWith(flatten(await stepper.judgedParameters()) as Record<string, HostArray>);
    },
    arrays: async () => flatten(await engine.get(stepper.state)) as Record<string, HostArray>,
    async dispose() {
      await sampling.dispose();
      await stepper.free();
      await frozen.free();
    },
  };
}
