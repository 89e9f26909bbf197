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

export { createAdapter, type LoraConfig, type LoraOptions, mergeLora, withLora } from "./adapters/lora.ts";
export { type ChatMessage, type ChatTemplate, chatTemplate } from "./chat/chat-template.ts";
export { assistantMask, type ChatOptions, encodeChat } from "./chat/chat-tokens.ts";
export { type DefaultTemplateName, defaultTemplates, withDefaultTemplate } from "./chat/default-templates.ts";
export {
  type Checkpoint,
  checkTensors,
  readCheckpoint,
  readTensors,
  type WriteOptions,
  writeCheckpoint,
} from "./checkpoint/checkpoint.ts";
export { type ResolveModelOptions, resolveModel } from "./checkpoint/hub.ts";
export { encodeSafetensors, readSafetensors } from "./checkpoint/safetensors.ts";
export {
  configOf,
  type Family,
  knownFamilies,
  type ModelConfig,
  type ModelSizes,
  parseConfig,
} from "./config/config.ts";
export { ChatTemplateError, CheckpointError, TokenizerError } from "./errors.ts";
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
export {
  hiddenStates,
  initialParameters,
  logitsOf,
  parameterShapes,
  parameterSpecs,
  scoresOf,
  type TokenBatch,
  tokenSpec,
} from "./model.ts";
export { type BpeTrainerOptions, type TrainedBpe, trainBpe } from "./tokenizer/bpe-trainer.ts";
export { type StreamDecoder, streamDecoder } from "./tokenizer/stream-decoder.ts";
export { createTokenizer, type EncodeOptions, type Tokenizer } from "./tokenizer/tokenizer.ts";
