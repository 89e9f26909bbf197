/** The work of `attune export`. */
import type { FloatFormat } from "../../models/checkpoint/safetensors.ts";
import { saveOnnx } from "../../models/export/folder.ts";
import { loadModel, merged } from "../../models/load.ts";
import type { Implementation } from "../command.ts";
import { UsageError } from "../failure.ts";
import { checkOutput, type OutputOptions } from "../output.ts";

interface Options extends OutputOptions {
  readonly model: string;
  readonly format: "onnx" | "safetensors";
  readonly quantize?: "int8";
  readonly dtype?: FloatFormat;
}

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;

export const runExport: Implementation<Options> = async (context, options) => {
  const { model: name, output, format, quantize, dtype } = options;
  if (format === "onnx" && dtype !== undefined)
    throw new UsageError(
      "--dtype: goes with --format safetensors; for a smaller ONNX model use --quantize int8",
    );
  if (format === "safetensors" && quantize !== undefined)
    throw new UsageError("--quantize: goes with --format onnx; for smaller safetensors use --dtype bfloat16");
  await checkOutput(options);
  const model = await loadModel(name, { signal: context.signal });
  if (!model.tokenizer)
    context.warn(`${name} has no tokenizer, so neither has ${output}: only token ids can go in and come out`);
  if (format === "safetensors") {
    await merged(model).save(output, { dtype: dtype ?? "float32" });
    context.result({ output, format, dtype: dtype ?? "float32" }, `the model is in ${output}`);
    return;
  }
  const files = await saveOnnx(model, output, { int8: quantize === "int8" });
  const listed = Object.entries(files).map(([file, bytes]) => `onnx/${file} ${megabytes(bytes)}`);
  context.result({ output, format, files }, `${output}: ${listed.join(", ")}`);
};
