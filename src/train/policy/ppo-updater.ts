/**
 * The updates of an iteration, run: parameters and optimiser state stay with the engine, the batch goes in, figures
 * come out. A run of the program takes about a second, so that a signal is obeyed soon; how many updates that are
 * changes no bit.
 */

import { responseTokens, type TokenSequence } from "../../data/response-rows.ts";
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
} from "../../graph/index.ts";
import type { Parameters } from "../../models/load.ts";
import { averageOf } from "../../optim/index.ts";
import type { PpoParts } from "./ppo-parts.ts";
import { putFrozen, trainedParameters, trainedSpecs } from "./ppo-parts.ts";
import { type PlannedUpdate, updateInputs } from "./ppo-plan.ts";
import { compileUpdate, type Optimizers, type UpdateOptions } from "./ppo-update.ts";

/** What the updates of an iteration learn from; rows of figures, one a response token. */
export interface Experience {
  readonly sequences: readonly TokenSequence[];
  readonly oldLogProbs: readonly Float64Array[];
  /** Only where the KL stands in the loss. */
  readonly refLogProbs?: readonly Float64Array[];
  readonly klCoef: number;
  readonly advantages: readonly Float64Array[];
  readonly returns: readonly Float64Array[];
  readonly values: readonly Float64Array[];
}

export interface UpdateSettings {
  readonly temperature: number;
  readonly learningRate: number;
  readonly criticLearningRate: number;
}

/** Figures of one update, by name: see `ppoLoss`. */
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
  parameters(): Promise<Record<"policy" | "critic", Parameters>>;
  /** The moving averages of those, where the optimisers keep them. */
  average(): Promise<Record<"policy" | "critic", Parameters> | undefined>;
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
  parts: PpoParts,
  optimizers: Optimizers,
  options: UpdateOptions,
  start?: { parameters: Record<"policy" | "critic", Parameters>; state: Readonly<Record<string, HostArray>> },
): Promise<Updater> {
  const specs = trainedSpecs(parts);
  const parameters = start?.parameters ?? trainedParameters(parts);
  const zeros = () =>
    mapTree(
      { policy: optimizers.policy.init(specs.policy), critic: optimizers.critic.init(specs.critic) },
      ({ dtype, shape }) => zerosArray(dtype, shape as number[]),
    );
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
    params: { policy: unflatten(parameters.policy), critic: unflatten(parameters.critic) },
    state: start ? unflatten(start.state) : zeros(),
  });
  const both = async (tree: Tree<Resident>) => {
    const { policy, critic } = await engine.get(tree);
    return { policy: flatten(policy as Tree<HostArray>), critic: flatten(critic as Tree<HostArray>) };
  };
  /** Updates of one run; the first one finds out how long they take. */
  let pace = 1;

  return {
    weights: { params: carry.params as Tree<Resident>, frozen },
    async update(experience, updates, { temperature, learningRate, criticLearningRate }) {
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
        returns: flatNumbers(experience.returns),
        old_values: flatNumbers(experience.values),
        inverse_temperature: scalarOf(1 / temperature),
        learning_rate: scalarOf(learningRate),
        critic_learning_rate: scalarOf(criticLearningRate),
      };
      const executable = await programFor((updates[0]?.length ?? 1) > 1);
      const figures: UpdateFigures[] = [];
      while (figures.length < updates.length) {
        const now = updates.slice(figures.length, figures.length + pace);
        const started = performance.now();
        const out = await engine.run(executable, [carry, updateInputs(sequences, now), { batch, frozen }]);
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
    parameters: () => both(carry.params as Tree<Resident>),
    async average() {
      const { policy, critic } = carry.state as Record<"policy" | "critic", Tree<Resident>>;
      const averages = { policy: averageOf(policy), critic: averageOf(critic) };
      return averages.policy && averages.critic && both(averages as Tree<Resident>);
    },
    state: async () => flatten(await engine.get(carry.state as Tree<Resident>)),
    async free() {
      await engine.free(carry);
      await engine.free(frozen);
      for (const executable of loaded.values()) await engine.unload(executable);
    },
  };
}
