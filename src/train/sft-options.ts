/** The options of supervised fine-tuning: names and defaults of TRL's SFTConfig in camelCase. */
import type { DatasetOptions, SftData } from "../data/dataset.ts";
import type { Model } from "../models/load.ts";
import { type TrainerOptions, trainerDefaults } from "./loop/trainer-options.ts";

export interface SftOptions
  extends TrainerOptions,
    Partial<Pick<DatasetOptions, "maxLength" | "packing" | "truncation" | "separator" | "onBadRow">>,
    Pick<DatasetOptions, "completionOnlyLoss" | "assistantOnlyLoss" | "chatTemplate"> {
  readonly model: Model;
  /** Files (.txt, .jsonl, .json, each also .gz), or rows. */
  readonly data: SftData;
  /** Held-out rows in the same forms. */
  readonly evalData?: SftData;
}

/** Defaults, as the help texts print them. */
export const sftDefaults = { ...trainerDefaults, maxLength: 1024 } as const satisfies Partial<SftOptions>;
