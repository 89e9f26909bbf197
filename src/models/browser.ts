/**
 * The part of `attune/models` that needs no files: models from bytes that the page has fetched.
 *
 * @example
 * import { hiddenStates, parseConfig, readSafetensors } from "attune/models/browser";
 */
export { type LoraConfig, type LoraOptions, mergeLora, withLora } from "./adapters/lora.ts";
export { type ChatMessage, type ChatTemplate, chatTemplate } from "./chat/chat-template.ts";
export { assistantMask, type ChatOptions, encodeChat } from "./chat/chat-tokens.ts";
export { type DefaultTemplateName, defaultTemplates, withDefaultTemplate } from "./chat/default-templates.ts";
export { checkTensors } from "./checkpoint/check-tensors.ts";
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
