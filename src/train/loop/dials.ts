/**
 * Figures that every batch brings beside its rows, and that are set anew after each step from what it measured: a
 * coefficient that is controlled, a running mean. They are part of a checkpoint, so a run that goes on has them.
 */
import { type Engine, type HostArray, hostArray, type TensorSpec } from "../../graph/index.ts";
import type { Model } from "../../models/load.ts";

export type Figures = Readonly<Record<string, number>>;

/** What a step has left. */
export interface StepFacts {
  /** Updates that are done. */
  readonly step: number;
  readonly totalSteps: number;
  /** What its loss was divided by. */
  readonly items: number;
  readonly metrics: Figures;
  /** What trains, as it is now: a copy. */
  readonly parameters: () => Promise<Record<string, HostArray>>;
}

export interface Dials {
  /** Before the first step. Each is a float32 scalar of the batch under this name. */
  readonly start: Figures;
  /** What a batch brings, where that is not the figures themselves; `training` is false of held-out rows. */
  readonly batch?: (now: Figures, training: boolean) => Figures;
  /** After a step, before anything is saved. */
  readonly next: (now: Figures, step: StepFacts) => Figures | Promise<Figures>;
}

/** The same for `fitRows`, where a step leaves the engine and the model too. */
export interface FitDials extends Omit<Dials, "next"> {
  readonly next: (
    now: Figures,
    step: StepFacts & { readonly engine: Engine; readonly model: () => Promise<Model> },
  ) => Figures | Promise<Figures>;
}

const scalarSpec: TensorSpec = { dtype: "float32", shape: [] };

export const dialSpecs = (dials: Pick<Dials, "start"> | undefined): Record<string, TensorSpec> =>
  Object.fromEntries(Object.keys(dials?.start ?? {}).map((name) => [name, scalarSpec]));

/** The arrays that a batch brings. */
export const dialArrays = (
  dials: Dials | undefined,
  now: Figures = {},
  training = true,
): Record<string, HostArray> =>
  Object.fromEntries(
    Object.entries(dials?.batch ? dials.batch(now, training) : now).map(([name, value]) => [
      name,
      hostArray("float32", [], [value]),
    ]),
  );
