/** Folders for Transformers.js (Node): configuration, tokenizer, and the model in onnx/. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { bytesOf } from "../../graph/lower/onnx/builder.ts";
import { toJson, writeTextFiles } from "../checkpoint/checkpoint-write.ts";
import { replaceFolder, writePieces, writeText } from "../folder-write.ts";
import { type Model, textsOf } from "../load.ts";
import { exportOnnx, type OnnxExportOptions } from "./onnx.ts";

/** Files that do not outlive the folder's replacement; a checkpoint in the same folder stays. */
const ownFiles =
  /^(onnx|config\.json|generation_config\.json|tokenizer.*|chat_template\.jinja|special_tokens_map\.json)$/;

export interface SaveOnnxOptions extends Pick<OnnxExportOptions, "inlineBytes" | "chunkBytes"> {
  /** Also writes onnx/model_quantized.onnx, which Transformers.js calls "q8" and takes by default in browsers. */
  readonly int8?: boolean;
}

/**
 * Writes a folder that Transformers.js loads: onnx/model.onnx in float32, and model_quantized.onnx where `int8` asks for
 * it. Files that are there and no part of an export are kept.
 *
 * @returns names and bytes of the model files
 * @throws CheckpointError when `dir` holds something else than a model, or the disk is full; nothing has changed then
 */
export async function saveOnnx(
  model: Model,
  dir: string,
  { int8 = false, ...options }: SaveOnnxOptions = {},
): Promise<Record<string, number>> {
  const { config, parameters } = model;
  const floats = Object.values(parameters).reduce((sum, { data }) => sum + data.byteLength, 0);
  const files = { "model.onnx": false, ...(int8 && { "model_quantized.onnx": true }) };
  const bytes = floats * (int8 ? 1.3 : 1);
  const written: Record<string, number> = {};
  await replaceFolder(dir, { what: "a model", marker: "config.json", ownFiles, bytes }, async (fresh) => {
    const chunkCounts: Record<string, number> = {};
    await mkdir(join(fresh, "onnx"));
    for (const [fileName, isInt8] of Object.entries(files)) {
      const { bytes, chunks } = exportOnnx(config, parameters, { ...options, int8: isInt8, fileName });
      await writePieces(join(fresh, "onnx", fileName), [bytes]);
      written[fileName] = bytes.length;
      for (const [i, arrays] of chunks.entries()) {
        const name = `${fileName}_data${i === 0 ? "" : `_${i}`}`;
        await writePieces(join(fresh, "onnx", name), arrays.map(bytesOf));
        written[name] = arrays.reduce((sum, { data }) => sum + data.byteLength, 0);
      }
      if (chunks.length > 0) chunkCounts[fileName] = chunks.length;
    }
    await writeTextFiles(fresh, textsOf(model), "float32");
    await writeText(join(fresh, "config.json"), toJson(configJson(model, int8, chunkCounts)));
  });
  return written;
}

/** config.json with what Transformers.js has to know: sizes that it does not derive, and where the weights are. */
function configJson({ config }: Model, int8: boolean, chunks: Record<string, number>) {
  const { raw, family, numKeyValueHeads, headDim } = config;
  const isGrouped = ["llama", "mistral", "qwen2", "qwen3"].includes(family);
  return {
    ...raw,
    ...(isGrouped && { num_key_value_heads: numKeyValueHeads, head_dim: headDim }),
    "transformers.js_config": {
      // Browsers take "q8" when nothing is said.
      ...(!int8 && { dtype: "fp32" }),
      ...(Object.keys(chunks).length > 0 && { use_external_data_format: chunks }),
    },
  };
}
