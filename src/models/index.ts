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
export { type BpeTrainerOptions, type TrainedBpe, trainBpe } from "./bpe-trainer.ts";
export { type ChatMessage, type ChatTemplate, chatTemplate } from "./chat-template.ts";
export { assistantMask, type ChatOptions, encodeChat } from "./chat-tokens.ts";
export {
  type Checkpoint,
  checkTensors,
  readCheckpoint,
  readTensors,
  type WriteOptions,
  writeCheckpoint,
} from "./checkpoint.ts";
export {
  configOf,
  type Family,
  knownFamilies,
  type ModelConfig,
  type ModelSizes,
  parseConfig,
} from "./config.ts";
export { type DefaultTemplateName, defaultTemplates, withDefaultTemplate } from "./default-templates.ts";
export { ChatTemplateError, CheckpointError, TokenizerError } from "./errors.ts";
export { type ResolveModelOptions, resolveModel } from "./hub.ts";
export {
  addTokens,
  createModel,
  type LoadModelOptions,
  loadModel,
  type Model,
  type ModelParts,
  modelOf,
  type Parameters,
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
export { encodeSafetensors, readSafetensors } from "./safetensors.ts";
export { type StreamDecoder, streamDecoder } from "./stream-decoder.ts";
export { createTokenizer, type EncodeOptions, type Tokenizer } from "./tokenizer.ts";
