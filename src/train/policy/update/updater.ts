/**
 * The updates of an iteration, run: parameters and optimiser state stay with the engine, the batch goes in, figures
 * come out. A run of the program takes about a second, so that a signal is obeyed soon; how many updates that are
 * changes no bit.
 */

import { responseTokens, type TokenSequence } from "../../../data/response-rows.ts";
import {
  type Engine,
  type Executable,
  flatten,
  type HostArray,
  hostArray,
  mapTree,
  type Resident,
  type Tree,
  unflatten,
  type Value,
  zerosArray,
} from "../../../graph/index.ts";
import type { Parameters } from "../../../models/load.ts";
import { averageOf } from "../../../optim/index.ts";
import type { ByPart, PolicyParts } from "../parts.ts";
import { putFrozen, trainedParameters, trainedSpecs } from "../parts.ts";
import { type PlannedUpdate, updateInputs } from "./plan.ts";
import { compileUpdate, type Optimizers, optimizerSpecs, type UpdateOptions } from "./program.ts";

/** What the updates of an iteration learn from; rows of figures, one a response token. */
export interface Experience {
  readonly sequences: readonly TokenSequence[];
  readonly oldLogProbs: readonly Float64Array[];
  /** Only where the KL stands in the loss. */
  readonly refLogProbs?: readonly Float64Array[] | undefined;
  readonly klCoef: number;
  readonly advantages: readonly Float64Array[];
  /** Of each token's loss, where an update is `weighted`. */
  readonly weights?: readonly Float64Array[] | undefined;
  /** What an update's losses are divided by; its response tokens when left out. */
  readonly items?: number | undefined;
  /** Responses that teach nothing, which no update computes. */
  readonly skipped?: readonly boolean[] | undefined;
  /** Of the critic. */
  readonly returns?: readonly Float64Array[] | undefined;
  readonly values?: readonly Float64Array[] | undefined;
}

export interface UpdateSettings {
  readonly temperature: number;
  readonly learningRate: number;
  readonly criticLearningRate?: number;
}

/** Figures of one update, by name: see `policyUpdateLoss`. */
export type UpdateFigures = Readonly<Record<string, number>>;

export interface Updater {
  /** What passes and samplers read: `{params, frozen}`. The handles stay the same. */
  readonly weights: { readonly params: Tree<Resident>; readonly frozen: Tree<Resident> };
  /** Figures of the updates that were made, and of the one that went too far where `targetKl` stops them. */
  update(
    experience: Experience,
    updates: readonly PlannedUpdate[],
    settings: UpdateSettings,
  ): Promise<UpdateFigures[]>;
  parameters(): Promise<ByPart<Parameters>>;
  /** The moving averages of those, where the optimisers keep them. */
  average(): Promise<ByPart<Parameters> | undefined>;
  /** Of both optimisers, by path. */
  state(): Promise<Record<string, HostArray>>;
  free(): Promise<void>;
}

/** Milliseconds that one run should take. */
const runTime = 1000;

const flatNumbers = (rows: readonly Float64Array[]): HostArray => {
  const data = new Float32Array(rows.reduce((n, row) => n + row.length, 0));
  let at = 0;
  for (const row of rows) {
    data.set(row, at);
    at += row.length;
  }
  return hostArray("float32", [data.length], data);
};

const scalarOf = (x: number): HostArray => hostArray("float32", [], [x]);

export async function createUpdater(
  engine: Engine,
  parts: PolicyParts,
  optimizers: Optimizers,
  options: UpdateOptions,
  start?: { parameters: ByPart<Parameters>; state: Readonly<Record<string, HostArray>> },
): Promise<Updater> {
  const specs = trainedSpecs(parts);
  const parameters = start?.parameters ?? trainedParameters(parts);
  const zeros = () =>
    mapTree(optimizerSpecs(optimizers, specs), ({ dtype, shape }) => zerosArray(dtype, shape as number[]));
  const loaded = new Map<boolean, Executable>();
  const programFor = async (accumulate: boolean): Promise<Executable> => {
    const { provider } = engine;
    const known =
      loaded.get(accumulate) ??
      (await engine.load(compileUpdate(parts, optimizers, options, { provider, accumulate })));
    loaded.set(accumulate, known);
    return known;
  };
  const frozen = await putFrozen(engine, parts);
  const carry = await engine.put({
    params: {
      policy: unflatten(parameters.policy),
      ...(parameters.critic && { critic: unflatten(parameters.critic) }),
    },
    state: start ? unflatten(start.state) : zeros(),
  });
  const byPart = async (tree: Tree<Resident>): Promise<ByPart<Parameters>> => {
    const { policy, critic } = await engine.get(tree);
    return {
      policy: flatten(policy as Tree<HostArray>),
      ...(critic && { critic: flatten(critic as Tree<HostArray>) }),
    };
  };
  /** Updates of one run; the first one finds out how long they take. */
  let pace = 1;

  return {
    weights: { params: carry.params as Tree<Resident>, frozen },
    async update(experience, updates, { temperature, learningRate, criticLearningRate = learningRate }) {
      const { sequences, refLogProbs } = experience;
      const batch: Tree<Value> = {
        tokens: hostArray(
          "int64",
          [sequences.reduce((n, { ids }) => n + ids.length, 0)],
          responseTokens(sequences),
        ),
        old_log_probs: flatNumbers(experience.oldLogProbs),
        ...(options.klTerm &&
          refLogProbs && { ref_log_probs: flatNumbers(refLogProbs), kl_coef: scalarOf(experience.klCoef) }),
        advantages: flatNumbers(experience.advantages),
        ...(options.weighted && { weights: flatNumbers(experience.weights as readonly Float64Array[]) }),
        ...(parts.critic && {
          returns: flatNumbers(experience.returns as readonly Float64Array[]),
          old_values: flatNumbers(experience.values as readonly Float64Array[]),
          critic_learning_rate: scalarOf(criticLearningRate),
        }),
        inverse_temperature: scalarOf(1 / temperature),
        learning_rate: scalarOf(learningRate),
      };
      const figures: UpdateFigures[] = [];
      while (figures.length < updates.length) {
        // Updates of one run have as many micro-batches as the first of them.
        const next = updates.slice(figures.length, figures.length + pace);
        const micros = (next[0] as PlannedUpdate).length;
        const other = next.findIndex(({ length }) => length !== micros);
        const now = other < 0 ? next : next.slice(0, other);
        const executable = await programFor(micros > 1);
        const started = performance.now();
        const inputs = updateInputs(sequences, now, experience.items);
        const out = await engine.run(executable, [carry, inputs, { batch, frozen }]);
        const each = (performance.now() - started) / now.length;
        pace = Math.max(1, Math.floor(runTime / each));
        const ys = Object.entries(flatten(out.ys as Tree<HostArray>));
        const done = Number((out.iterations as HostArray).data[0]);
        for (let k = 0; k < done; k++)
          figures.push(Object.fromEntries(ys.map(([name, { data }]) => [name, Number(data[k])])));
        const last = figures.at(-1);
        if (options.targetKl !== undefined && (last?.approxkl as number) > options.targetKl) break;
      }
      return figures;
    },
    parameters: () => byPart(carry.params as Tree<Resident>),
    async average() {
      const { policy, critic } = carry.state as ByPart<Tree<Resident>>;
      const averages = { policy: averageOf(policy), ...(critic && { critic: averageOf(critic) }) };
      return averages.policy && byPart(averages as Tree<Resident>);
    },
    state: async () => flatten(await engine.get(carry.state as Tree<Resident>)),
    async free() {
      await engine.free(carry);
      await engine.free(frozen);
      for (const executable of loaded.values()) await engine.unload(executable);
    },
  };
}
