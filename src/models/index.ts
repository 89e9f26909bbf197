/**
 * Models: load them, make them, look at their parts.
 *
 * @example
 * import { configOf, createModel } from "attune/models";
 *
 * const sizes = { vocabSize: 300, hiddenSize: 32, numLayers: 1, numHeads: 2, maxPositions: 64 };
 * const model = createModel(configOf("llama", sizes), 0);
 * await model.save("new-model");
 */
export { createAdapter } from "./adapters/lora.ts";
// What needs no files is listed once, for browsers.
export * from "./browser.ts";
export {
  type Checkpoint,
  readCheckpoint,
  readTensors,
  type WriteOptions,
  writeCheckpoint,
} from "./checkpoint/checkpoint.ts";
export { type ResolveModelOptions, resolveModel } from "./checkpoint/hub.ts";
export { type SaveOnnxOptions, saveOnnx } from "./export/folder.ts";
export { exportOnnx, type OnnxExportOptions, type OnnxFile } from "./export/onnx.ts";
export {
  addTokens,
  createModel,
  type LoadModelOptions,
  loadModel,
  type Model,
  type ModelParts,
  merged,
  modelOf,
  type Parameters,
  withAdapter,
  withChatTemplate,
  withParameters,
  withTokenizer,
} from "./load.ts";
export { type ScoreHeadOptions, withScoreHead } from "./score-head.ts";
