/** The options of every command that can train an adapter instead of a whole model; names as in TRL. */
import type { Command } from "commander";
import { type LoraOptions, loraDefaults } from "../models/adapters/lora.ts";
import { nonNegativeNumber, positiveInteger, positiveNumber } from "./options.ts";

/** What commander hands over. */
export interface LoraFlags {
  readonly usePeft?: boolean;
  readonly loraR?: number;
  readonly loraAlpha?: number;
  readonly loraTargetModules?: string;
  readonly loraModulesToSave?: string;
  readonly loraDropout?: number;
  readonly useRslora?: boolean;
}

export const addLoraOptions = (command: Command): Command =>
  command
    .option(
      "--use-peft",
      "train a low-rank adapter (LoRA) and leave the model as it is; any --lora-... does too",
    )
    .option("--lora-r <n>", `rank of the adapter (default: ${loraDefaults.r})`, positiveInteger)
    .option(
      "--lora-alpha <x>",
      `the update is scaled by alpha / rank (default: ${loraDefaults.loraAlpha})`,
      positiveNumber,
    )
    .option(
      "--lora-target-modules <names>",
      `modules with an adapter, with commas between them (default: ${loraDefaults.targetModules})`,
    )
    .option("--lora-modules-to-save <names>", "modules that are trained whole")
    .option("--lora-dropout <x>", "only 0 is supported", nonNegativeNumber)
    .option("--use-rslora", "scale by alpha / sqrt(rank)");

/** The adapter that the options ask for; undefined to train the whole model. */
export function loraFrom(flags: LoraFlags): LoraOptions | undefined {
  const { usePeft, loraR, loraAlpha, loraTargetModules, loraModulesToSave, loraDropout, useRslora } = flags;
  const given = [loraR, loraAlpha, loraTargetModules, loraModulesToSave, loraDropout, useRslora];
  if (!usePeft && given.every((value) => value === undefined)) return undefined;
  const names = (list: string) => list.split(",").map((name) => name.trim());
  return {
    ...(loraR !== undefined && { r: loraR }),
    ...(loraAlpha !== undefined && { loraAlpha }),
    ...(loraTargetModules !== undefined && {
      targetModules: loraTargetModules === "all-linear" ? loraTargetModules : names(loraTargetModules),
    }),
    ...(loraModulesToSave !== undefined && { modulesToSave: names(loraModulesToSave) }),
    ...(loraDropout !== undefined && { loraDropout }),
    ...(useRslora !== undefined && { useRslora }),
  };
}
