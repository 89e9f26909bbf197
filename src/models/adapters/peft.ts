/**
 * Adapters in the layout of PEFT: the names in adapter_model.safetensors, and adapter_config.json.
 *
 * Options of PEFT that change the mathematics and are not implemented are refused by name. Dropout only acts in
 * training, so a loaded adapter may have been trained with it.
 */
import { z } from "zod";
import type { HostArray } from "../../graph/array.ts";
import type { ModelConfig } from "../config/config.ts";
import { CheckpointError } from "../errors.ts";
import { families } from "../families/index.ts";
import { type Adapter, adaptedModules, type LoraConfig } from "./lora.ts";

type Json = Readonly<Record<string, unknown>>;

const prefix = "base_model.model.";

const schema = z.object({
  peft_type: z.string(),
  base_model_name_or_path: z.string().nullish(),
  revision: z.string().nullish(),
  r: z.int(),
  lora_alpha: z.number(),
  target_modules: z.union([z.string(), z.array(z.string())]).nullish(),
  use_rslora: z.boolean().nullish(),
  modules_to_save: z.array(z.string()).nullish(),
  alpha_pattern: z.record(z.string(), z.number()).nullish(),
});

/** What these may be; anything else computes something else. */
const only: Readonly<Record<string, readonly unknown[]>> = {
  peft_type: ["LORA"],
  bias: ["none"],
  use_dora: [false],
  use_qalora: [false],
  use_bdlora: [false],
  lora_bias: [false],
  layer_replication: [],
  alora_invocation_tokens: [],
  trainable_token_indices: [],
  target_parameters: [],
  arrow_config: [],
  monteclora_config: [],
  velora_config: [],
};

/**
 * Reads adapter_config.json.
 *
 * @throws CheckpointError for options that are not supported, and for keys of the wrong type
 */
export function parseAdapterConfig(json: Json, source: string): { config: LoraConfig; base?: string } {
  for (const [key, values] of Object.entries(only)) {
    const value = json[key] ?? undefined;
    if (value !== undefined && !values.includes(value))
      throw new CheckpointError(
        `${source}: ${key} = ${JSON.stringify(value)} is not supported: merge the adapter with PEFT's merge_and_unload`,
      );
  }
  const result = schema.safeParse(json);
  if (!result.success)
    throw new CheckpointError(
      `${source}: ${result.error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`).join("; ")}`,
    );
  const { data } = result;
  return {
    config: {
      r: data.r,
      loraAlpha: data.lora_alpha,
      targetModules: [data.target_modules ?? []].flat(),
      useRslora: data.use_rslora ?? false,
      modulesToSave: data.modules_to_save ?? [],
      alphaPattern: data.alpha_pattern ?? {},
    },
    ...(data.base_model_name_or_path && {
      base: data.base_model_name_or_path + (data.revision ? `@${data.revision}` : ""),
    }),
  };
}

/** adapter_config.json of an adapter, as PEFT reads it. */
export function adapterConfigJson({ config, parameters }: Adapter, model: ModelConfig, base: string): Json {
  const ranks = adaptedModules(parameters).map((module) => [
    module,
    parameters[`${module}.lora_A.weight`]?.shape[0] as number,
  ]);
  const [, id = base, revision = null] = /^([\w.-]+\/[\w.-]+)@(.+)$/.exec(base) ?? [];
  return {
    peft_type: "LORA",
    task_type: model.numLabels === undefined ? "CAUSAL_LM" : "SEQ_CLS",
    base_model_name_or_path: id,
    revision,
    r: config.r,
    lora_alpha: config.loraAlpha,
    lora_dropout: 0,
    use_rslora: config.useRslora,
    use_dora: false,
    bias: "none",
    fan_in_fan_out: families[model.family].inputsFirst ?? false,
    target_modules: config.targetModules,
    modules_to_save: config.modulesToSave.length > 0 ? config.modulesToSave : null,
    rank_pattern: Object.fromEntries(ranks.filter(([, r]) => r !== config.r)),
    alpha_pattern: config.alphaPattern,
    inference_mode: true,
    init_lora_weights: true,
  };
}

/**
 * Tensors of adapter_model.safetensors under the model's own names.
 *
 * @throws CheckpointError for adapters of something else than linear modules
 */
export function fromPeftNames(
  tensors: Readonly<Record<string, HostArray>>,
  source: string,
): Record<string, HostArray> {
  const other = Object.keys(tensors).filter(
    (name) => !name.startsWith(prefix) || /\.(lora_embedding_[AB]|lora_magnitude_vector)/.test(name),
  );
  if (other.length > 0)
    throw new CheckpointError(
      `${source}: adapters of linear modules are supported, got ${other.slice(0, 8).join(", ")}`,
    );
  return Object.fromEntries(
    Object.entries(tensors).map(([name, array]) => [name.slice(prefix.length), array]),
  );
}

export const toPeftNames = (parameters: Readonly<Record<string, HostArray>>): Record<string, HostArray> =>
  Object.fromEntries(Object.entries(parameters).map(([name, array]) => [prefix + name, array]));
