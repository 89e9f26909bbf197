/** The shapes of `tokenizer.json` and `tokenizer_config.json` as far as Attune reads or writes them. */

/** One pipeline step of `tokenizer.json` (normalizer, pre-tokenizer, post-processor, decoder). */
export interface PipelineStep {
  type: string;
  [key: string]: unknown;
}

/** A token matched in the text before the model sees it. */
export interface AddedToken {
  id: number;
  content: string;
  single_word: boolean;
  lstrip: boolean;
  rstrip: boolean;
  /** Matched in the normalised text, not in the original. */
  normalized: boolean;
  special: boolean;
}

export interface TokenizerModel {
  type?: string;
  /** Token to id; a list of (token, score) for Unigram. */
  vocab: Record<string, number> | [string, number][];
  merges?: string[] | [string, string][];
  unk_token?: string | null;
  byte_fallback?: boolean;
  [key: string]: unknown;
}

/** `tokenizer.json`, parsed. */
export interface TokenizerJson {
  version?: string;
  added_tokens: AddedToken[];
  normalizer: PipelineStep | null;
  pre_tokenizer: PipelineStep | null;
  post_processor: PipelineStep | null;
  decoder: PipelineStep | null;
  model: TokenizerModel;
  [key: string]: unknown;
}

/** A special token in `tokenizer_config.json`: its text, or a serialised AddedToken. */
export type ConfigToken = string | { content: string; [key: string]: unknown } | null;

/** `tokenizer_config.json`, parsed. */
export interface TokenizerConfig {
  tokenizer_class?: string;
  bos_token?: ConfigToken;
  eos_token?: ConfigToken;
  pad_token?: ConfigToken;
  unk_token?: ConfigToken;
  chat_template?: string | { name: string; template: string }[] | null;
  added_tokens_decoder?: Record<string, Partial<AddedToken> & { content: string }>;
  [key: string]: unknown;
}

/** The parsed pair that makes a tokenizer. */
export interface TokenizerFiles {
  tokenizer: TokenizerJson;
  config: TokenizerConfig;
}
