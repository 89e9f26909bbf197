/** The work of `attune merge`. */
import type { FloatFormat } from "../../models/checkpoint/safetensors.ts";
import { loadModel, merged } from "../../models/load.ts";
import type { Implementation } from "../command.ts";
import { UsageError } from "../failure.ts";
import { checkOutput, type OutputOptions } from "../output.ts";

interface Options extends OutputOptions {
  readonly adapter: string;
  readonly model?: string;
  readonly dtype: FloatFormat;
}

export const runMerge: Implementation<Options> = async (context, options) => {
  const { adapter: name, output, model: base, dtype } = options;
  await checkOutput(options);
  const model = await loadModel(name, { signal: context.signal, ...(base !== undefined && { base }) });
  const { adapter } = model;
  if (!adapter)
    throw new UsageError(
      `--adapter ${name}: an adapter (adapter_config.json) is required, this is a whole model`,
    );
  await merged(model).save(output, { dtype });
  const { r, loraAlpha, useRslora, targetModules } = adapter.config;
  context.result(
    {
      output,
      dtype,
      lora: { r, lora_alpha: loraAlpha, use_rslora: useRslora, target_modules: targetModules },
    },
    `merged ${name} (rank ${r}, alpha ${loraAlpha}, ${targetModules.join(", ")}); the model is in ${output}`,
  );
};
