/**
 * What a kind of stage is: its keys, which are the recipe's, the help text's and the JSON Schema's, and how it runs.
 * A trainer joins recipes and the command line by being a row of stages/index.ts.
 */
import type { z } from "zod";
import type { DataInput } from "../data/dataset.ts";
import type { Preflight } from "../data/preflight.ts";
import type { Engine } from "../graph/index.ts";
import type { Model } from "../models/load.ts";
import type { OpenedReward } from "../reward/reward.ts";
import type { StepReport } from "../train/loop/loop.ts";

/** Before the first step: what will be trained on, and how far. */
export interface StageStart {
  readonly preflight?: Preflight;
  readonly heldOut?: number;
  readonly totalSteps: number;
  /** Steps, and tokens, that are done already. */
  readonly step: number;
  readonly tokens: number;
}

/** What a stage gets from whoever runs it: a recipe, or a command of its own. */
export interface StageContext {
  readonly name: string;
  /** The stage's folder. */
  readonly dir: string;
  readonly engine: Engine;
  /** The recipe's seed, for stages that name none. */
  readonly seed: number;
  readonly signal: AbortSignal;
  readonly resume: boolean;
  readonly overwrite: boolean;
  /** A model by folder, hub id, or the name of an earlier stage. */
  model(reference: string): Promise<Model>;
  /** Data as the readers take it, from files, hub ids and `world:` names. */
  data(reference: string | readonly string[]): DataInput;
  /** The folder of an earlier stage; any other text is itself. */
  folder(reference: string): string;
  /** A reward by its specification, or by the name of an earlier stage; closed by whoever runs the stage. */
  reward(specification: unknown, policy: Model): Promise<OpenedReward>;
  onStart(start: StageStart): void;
  onStep(report: StepReport): void;
  note(line: string): void;
  /** Told the bytes of the largest step; nothing is refused for them then. */
  readonly onMemory?: (bytes: number) => void;
}

/** What a stage leaves, besides its folder. */
export interface StageResult {
  /** None of a stage that makes rows alone. */
  readonly model?: Model;
  readonly metrics: Readonly<Record<string, number>>;
  readonly steps: number;
  readonly reason: "done" | "stopped" | "no improvement";
  readonly best?: { readonly step: number; readonly value: number };
  readonly data: { readonly rows: number; readonly skipped: number; readonly tokens?: number };
  /** Models in the stage's folder that are an ensemble; `model` is the first of them. */
  readonly members?: number;
  /** Of a reward model: accuracy, calibration and what else the report shows. */
  readonly rewardModel?: object;
}

export interface StageKind {
  /** The value of `trainer`, and the name of the command. */
  readonly name: string;
  readonly description: string;
  /** Strict, without `trainer`. */
  readonly keys: z.ZodObject;
  /** Keys that are needed. */
  readonly required: readonly string[];
  /** Keys of which exactly one is needed. */
  readonly oneOf?: readonly string[];
  /** Keys whose values name models, which may be earlier stages. */
  readonly models: readonly string[];
  /** Whether the stage leaves a model in its folder. */
  readonly leavesModel: boolean;
  /** The file of rows that a stage leaves for later ones; pairs.jsonl by default. */
  readonly rows?: string;
  /** The key that limits how many rows such a stage makes, for whoever wants to see a few. */
  readonly limit?: string;
  /** Whether the stage leaves a new model that answers prompts, so that it is measured. */
  readonly answers: boolean;
  /** Metrics that a progress line shows, the most telling first. */
  readonly shown: readonly string[];
  /** A line about what can be done with the result. */
  readonly next: (output: string) => string;
  /** Refuses options (the trainer's, in camelCase) that contradict each other: a recipe is told so when it is read. */
  readonly check?: (options: Readonly<Record<string, unknown>>) => void;
  run(keys: StageKeys, context: StageContext): Promise<StageResult>;
}

export type StageKeys = Readonly<Record<string, unknown>>;

/** A kind of stage whose `run` knows the types of its keys. */
export const stageKind = <S extends z.ZodObject>(
  kind: Omit<StageKind, "keys" | "run"> & {
    readonly keys: S;
    run(keys: z.infer<S>, context: StageContext): Promise<StageResult>;
  },
): StageKind => ({ ...kind, run: (keys, context) => kind.run(keys as z.infer<S>, context) });
