/** What goes wrong with model folders, tokenizers and chat templates. */
import { AttuneError } from "../graph/errors.ts";

/** A checkpoint, its configuration or its download is missing, damaged, or of a kind that Attune does not read. */
export class CheckpointError extends AttuneError {
  override name = "CheckpointError";
}

/** A tokenizer's files are damaged or of an unknown kind, or its training options do not fit. */
export class TokenizerError extends AttuneError {
  override name = "TokenizerError";
}

/** A chat template is missing, does not parse, refuses the messages, or cannot say which tokens are the assistant's. */
export class ChatTemplateError extends AttuneError {
  override name = "ChatTemplateError";
}
