/** From the keys of a recipe (TRL's names, snake_case) to the options of the trainers (camelCase). */
import type { LoraOptions } from "../models/adapters/lora.ts";
import type { StageKeys } from "./stage.ts";

/** Where our name is shorter than TRL's. */
const shorter: Readonly<Record<string, string>> = {
  per_device_train_batch_size: "batchSize",
  per_device_eval_batch_size: "evalBatchSize",
  gradient_accumulation_steps: "gradientAccumulation",
  num_train_epochs: "numEpochs",
  optim: "optimizer",
  metric_for_best_model: "metricForBest",
};

export const camel = (key: string): string =>
  shorter[key] ?? key.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());

/** Keys that a stage reads itself, or that are put together into one option. */
const special = /^(model|data|eval_data|trainer|use_peft|lora_.*|use_rslora)$/;

/** The options that have the same meaning under both names, and the adapter. */
export function optionsOf(keys: StageKeys): Record<string, unknown> {
  const lora = loraOf(keys);
  const given = Object.entries(keys).filter(([key, value]) => value !== undefined && !special.test(key));
  return { ...Object.fromEntries(given.map(([key, value]) => [camel(key), value])), ...(lora && { lora }) };
}

const list = (value: string | readonly string[]): readonly string[] =>
  typeof value === "string" ? value.split(",").map((name) => name.trim()) : value;

/** The adapter that the keys ask for; undefined to train the whole model. */
export function loraOf(keys: StageKeys): LoraOptions | undefined {
  const {
    use_peft,
    lora_r,
    lora_alpha,
    lora_target_modules,
    lora_modules_to_save,
    lora_dropout,
    use_rslora,
  } = keys as {
    use_peft?: boolean;
    lora_r?: number;
    lora_alpha?: number;
    lora_target_modules?: string | string[];
    lora_modules_to_save?: string | string[];
    lora_dropout?: number;
    use_rslora?: boolean;
  };
  const given = [lora_r, lora_alpha, lora_target_modules, lora_modules_to_save, lora_dropout, use_rslora];
  if (use_peft === false || (!use_peft && given.every((value) => value === undefined))) return undefined;
  return {
    ...(lora_r !== undefined && { r: lora_r }),
    ...(lora_alpha !== undefined && { loraAlpha: lora_alpha }),
    ...(lora_target_modules !== undefined && {
      targetModules: lora_target_modules === "all-linear" ? "all-linear" : [...list(lora_target_modules)],
    }),
    ...(lora_modules_to_save !== undefined && { modulesToSave: [...list(lora_modules_to_save)] }),
    ...(lora_dropout !== undefined && { loraDropout: lora_dropout }),
    ...(use_rslora !== undefined && { useRslora: use_rslora }),
  };
}
