/**
 * What a recipe will take before it runs: memory, and time from a few real steps of each stage.
 *
 * The stages run in a folder that is thrown away, with their own data, options and shapes. A model that an earlier stage
 * would have trained is not there yet: where that began from nothing, one with new weights takes its place, whose
 * responses are as long as the demonstrations'. Rewards are called as in the run.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Engine } from "../../graph/index.ts";
import { randomBits } from "../../graph/random.ts";
import type { Model } from "../../models/load.ts";
import type { OpenedReward } from "../../reward/reward.ts";
import { availableMemory } from "../../train/loop/memory.ts";
import { createEvaluator } from "../evaluate.ts";
import { createPlace, type Place } from "../place.ts";
import type { Recipe, RecipeStage } from "../recipe.ts";
import { stageDir } from "../run-files.ts";
import type { StageKeys, StageKind } from "../stage.ts";
import { stageKinds } from "../stages/index.ts";
import { writeWorld } from "../world.ts";
import { endingAfter, evenModel } from "./even.ts";
import { memoryMeter } from "./meter.ts";
import { probeStage, type StageProbe } from "./probe.ts";

export interface StageEstimate {
  readonly name: string;
  readonly trainer: string;
  readonly steps: number;
  /** Bytes of the whole process at the stage's peak. */
  readonly memory: number;
  /** Seconds a step; with a probe. */
  readonly step_seconds?: number;
  /** Seconds of the stage: reading, compiling, steps, evaluations on held-out rows, checkpoints. */
  readonly seconds?: number;
  /** Seconds in which its model is measured on the recipe's prompts. */
  readonly evaluate_seconds?: number;
}

export interface Estimate {
  readonly stages: readonly StageEstimate[];
  /** Bytes at the peak of the whole run. */
  readonly memory: number;
  /** Bytes that are free for it. */
  readonly available: number;
  /** Of the whole run; with a probe. */
  readonly seconds?: number;
}

export interface EstimateOptions {
  readonly engine: Engine;
  readonly signal?: AbortSignal;
  /** Make a few steps of each stage, to know the time. Default true. */
  readonly probe?: boolean;
  /** Seconds of steps for each stage, once there are enough to tell. Default 4. */
  readonly budget?: number;
  readonly onStage?: (stage: { name: string; index: number; of: number }) => void;
  readonly note?: (line: string) => void;
}

/**
 * Says what a run will take.
 *
 * @throws whatever its stages throw when they begin: data or models that are not there, options that contradict each other
 */
export async function estimateRecipe(recipe: Recipe, options: EstimateOptions): Promise<Estimate> {
  const { engine, signal = new AbortController().signal, probe = true, budget = 4 } = options;
  const dir = await mkdtemp(join(tmpdir(), "attune-estimate-"));
  const available = availableMemory() + process.memoryUsage.rss();
  try {
    const began = performance.now();
    await writeWorld(join(dir, "data"), recipe);
    const worldSeconds = (performance.now() - began) / 1000;
    const place = createPlace(dir, recipe, { engine, signal });
    const stand = standIns(recipe, place);
    const meter = memoryMeter();
    const stages: StageEstimate[] = [];
    for (const [index, stage] of recipe.stages.entries()) {
      signal.throwIfAborted();
      const { name, trainer, keys } = stage;
      options.onStage?.({ name, index, of: recipe.stages.length });
      const kind = stageKinds[trainer] as StageKind;
      const context = {
        ...place,
        name,
        dir: stageDir(dir, name),
        seed: recipe.seed,
        model: (reference: string) => stand.model(reference, responseLengthOf(keys)),
        reward: async (specification: unknown, policy: Model) => {
          const opened = await place.reward(specification, policy);
          return stand.isNew(keys) ? dithered(opened) : opened;
        },
        note: () => {},
      };
      const found = await probeStage(kind, keys, context, signal, {
        steps: probe,
        budget,
        meter,
      }).finally(() => place.closeRewards());
      stand.keep(stage, found);
      stages.push(estimateOf(stage, found));
    }
    if (!probe) return { stages, memory: peakOf(stages), available };
    const measured = await withEvaluations(recipe, stages, { place, stand, signal, meter });
    const seconds = measured.reduce(
      (sum, { seconds = 0, evaluate_seconds = 0 }) => sum + seconds + evaluate_seconds,
      worldSeconds,
    );
    return { stages: measured, memory: peakOf(measured), available, seconds };
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

const peakOf = (stages: readonly StageEstimate[]): number => Math.max(...stages.map(({ memory }) => memory));

function estimateOf({ name, trainer }: RecipeStage, found: StageProbe): StageEstimate {
  const { steps, peak, formula, timing } = found;
  // Of fixed rows the probe may not have met the longest; of responses the formula only knows the longest possible.
  const isSampling = "reward" in (stageKinds[trainer] as StageKind).keys.shape;
  const told = formula && !(timing && isSampling) ? formula.before + formula.step : 0;
  return {
    name,
    trainer,
    steps,
    memory: Math.max(peak, told),
    ...(timing && { step_seconds: timing.step, seconds: timing.seconds }),
  };
}

/** Tokens of a response, at most, of stages that sample. */
function responseLengthOf({ response_length, max_completion_length, reward, environment }: StageKeys) {
  const length = response_length ?? (reward === undefined ? undefined : max_completion_length);
  if (typeof length === "number") return length;
  return reward === undefined && environment === undefined ? undefined : 64;
}

/** Models in place of those that stages would have trained. */
function standIns(recipe: Recipe, place: Place) {
  const isStage = (name: unknown): name is string => recipe.stages.some((stage) => stage.name === name);
  /** By stage, of those that began from nothing. */
  const evens = new Map<string, Model>();
  /** By stage: tokens of a response in the rows that it learned from. */
  const lengths = new Map<string, number>();
  return {
    /** Whether a stage's model comes from one that is not trained yet and began from nothing. */
    isNew: ({ model }: StageKeys): boolean => isStage(model) && evens.has(model),
    async model(reference: string, responseLength?: number): Promise<Model> {
      const even = evens.get(reference);
      if (!even) return place.model(reference);
      const length = lengths.get(reference) ?? [...lengths.values()][0];
      return responseLength === undefined || length === undefined
        ? even
        : endingAfter(even, length, responseLength);
    },
    keep({ name, trainer, keys }: RecipeStage, { model, preflight }: StageProbe): void {
      const kind = stageKinds[trainer] as StageKind;
      if (!model || !kind.leavesModel) return;
      const from = keys.model;
      if (kind.answers && (from === undefined || (isStage(from) && evens.has(from))))
        evens.set(name, evenModel(model));
      else if (typeof keys.members !== "number") place.keep(name, model);
      const own = preflight && responseTokens(preflight);
      const length = own ?? (isStage(from) ? lengths.get(from) : undefined);
      if (length !== undefined) lengths.set(name, length);
    },
  };
}

/** Mean tokens of a response in the rows, where they have prompts and responses. */
function responseTokens({ of, labels, tokens, examples }: NonNullable<StageProbe["preflight"]>) {
  if (of === "pairs") return labels / (2 * examples);
  return of === "rows" && labels > 0 && labels < 0.95 * tokens ? labels / examples : undefined;
}

/** A reward whose scores differ a little even where they are the same: no group is skipped, and every prompt gives a pair. */
const dithered = (reward: OpenedReward): OpenedReward => ({
  ...reward,
  score: async (batch) => {
    const scores = await reward.score(batch);
    return Array.from(scores, (score, i) => score + (1e-3 * randomBits(i, batch.length)) / 2 ** 32);
  },
});

/** Parameters from which on fewer prompts are answered, and how many of them. */
const large = 5e6;
const share = 1 / 8;

/** Adds how long each answering stage's model is measured; models of one size take the same time. */
async function withEvaluations(
  recipe: Recipe,
  stages: readonly StageEstimate[],
  {
    place,
    stand,
    signal,
    meter,
  }: {
    readonly place: Place;
    readonly stand: ReturnType<typeof standIns>;
    readonly signal: AbortSignal;
    readonly meter: ReturnType<typeof memoryMeter>;
  },
): Promise<StageEstimate[]> {
  const { evaluate } = recipe;
  if (evaluate?.prompts === undefined) return [...stages];
  const { max_new_tokens: atMost = 64, num_prompts = 256 } = evaluate;
  const reference = evaluate.kl_reference ?? recipe.stages.find(({ trainer }) => trainer === "sft")?.name;
  const names = stages.map(({ name }) => name);
  const known = new Map<string, { seconds: number; peak: number }>();
  const out: StageEstimate[] = [];
  for (const [index, stage] of stages.entries()) {
    const kind = stageKinds[stage.trainer] as StageKind;
    if (!kind.answers || !kind.leavesModel) {
      out.push(stage);
      continue;
    }
    signal.throwIfAborted();
    const model = await stand.model(stage.name, atMost);
    const size = Object.values(model.parameters).reduce((n, { data }) => n + data.length, 0);
    const hasKl = reference !== undefined && index > names.indexOf(reference) && names.includes(reference);
    const key = `${size} ${hasKl}`;
    let found = known.get(key);
    if (!found) {
      const asked = size > large ? Math.ceil(share * num_prompts) : num_prompts;
      const evaluator = createEvaluator(
        { ...recipe, evaluate: { ...evaluate, num_prompts: asked } },
        { ...place, model: (name) => stand.model(name, atMost) },
      );
      meter.reset();
      const began = performance.now();
      await evaluator.evaluate(stage.name, signal);
      found = {
        seconds: ((performance.now() - began) / 1000) * (num_prompts / asked),
        peak: meter.peak(),
      };
      known.set(key, found);
    }
    out.push({ ...stage, memory: Math.max(stage.memory, found.peak), evaluate_seconds: found.seconds });
  }
  return out;
}
