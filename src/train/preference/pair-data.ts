/** What all methods on pairs share before the first step: their options, the pairs they read, what they tell. */
import type { DataInput } from "../../data/input.ts";
import { selected } from "../../data/list.ts";
import type { Pair } from "../../data/pair.ts";
import { loadPreferences, type PreferenceDataset, type PreferenceOptions } from "../../data/preferences.ts";
import type { Model } from "../../models/load.ts";
import type { Tokenizer } from "../../models/tokenizer/tokenizer.ts";
import { TrainError } from "../errors.ts";
import { textModelOf } from "../loop/text-model.ts";
import {
  type Course,
  type TrainerHooks,
  type TrainerOptions,
  trainerDefaults,
} from "../loop/trainer-options.ts";
import type { AskHooks } from "./run-trainer.ts";

export interface PairTrainerOptions
  extends TrainerOptions,
    Partial<Omit<PreferenceOptions, "chatTemplate" | "eosId">> {
  /** The policy at the start. */
  readonly model: Model;
  /** Pairs, rankings or ratings: files, hub ids, or rows. */
  readonly data: DataInput;
  readonly evalData?: DataInput;
  /** A name or Jinja source, instead of the model's own template. */
  readonly chatTemplate?: string;
}

export const pairDefaults = { ...trainerDefaults, learningRate: 1e-6, maxLength: 1024 } as const;

export interface PairStart extends Course {
  readonly train: PreferenceDataset;
  readonly eval?: PreferenceDataset;
  readonly tokenizer: Tokenizer;
}

export interface PairHooks extends TrainerHooks<PairStart>, AskHooks {}

/** Pairs as a trainer has them. */
export interface OpenPairs {
  /** With the chat template. */
  readonly model: Model;
  readonly maxLength: number;
  readonly train: PreferenceDataset;
  readonly held?: PreferenceDataset | undefined;
  /** The caller's hooks, told of the pairs at the start. */
  readonly hooks: TrainerHooks<Course> & AskHooks;
}

/**
 * Reads the pairs of a trainer, without ties.
 *
 * @param given the options as they were given, whose maximal length was asked for
 * @throws DataError or TrainError with what is required, what came and what to do
 */
export async function openPairs(
  trainer: string,
  o: PairTrainerOptions & { readonly maxLength: number },
  given: PairTrainerOptions,
  hooks: PairHooks,
): Promise<OpenPairs> {
  const { model, tokenizer, maxLength, reading } = textModelOf(o.model, given, {
    trainer,
    defaultLength: o.maxLength,
  });
  const load = async (data: DataInput) =>
    withoutTies(trainer, await loadPreferences(data, tokenizer, { ...o, ...reading }), hooks.onWarning);
  const train = await load(o.data);
  const held = o.evalData === undefined ? undefined : await load(o.evalData);
  const onStart = (course: Course) => hooks.onStart?.({ ...course, train, eval: held, tokenizer });
  return { model, maxLength, train, held, hooks: { ...hooks, onStart } };
}

/** The pairs of which one response is better: a tie says nothing about the order that a loss asks for. */
function withoutTies(
  trainer: string,
  dataset: PreferenceDataset,
  onWarning: PairHooks["onWarning"],
): PreferenceDataset {
  const { pairs } = dataset;
  const kept: number[] = [];
  let at = 0;
  for (const { tie } of pairs) {
    if (!tie) kept.push(at);
    at++;
  }
  if (kept.length === pairs.length) return dataset;
  if (kept.length === 0)
    throw new TrainError(`${trainer} needs pairs of which one response is better, all are ties`);
  onWarning?.(`${pairs.length - kept.length} of ${pairs.length} pairs are ties and are left out`);
  return { ...dataset, pairs: selected(kept, (i) => pairs.at(i) as Pair) };
}
