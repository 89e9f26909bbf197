/**
 * Text to token ids and back: the tokenizer of a model folder, over `@huggingface/tokenizers`.
 *
 * `createTokenizer` takes the parsed `tokenizer.json` and `tokenizer_config.json` and gives the ids that
 * `transformers` 5 gives (see `llama-pipeline.ts` and `added-tokens.ts` for what it changes on loading). A tokenizer
 * never changes: `addTokens` and `withConfig` return another one.
 */
import { Tokenizer as Engine } from "@huggingface/tokenizers";
import { TokenizerError } from "../errors.ts";
import {
  addTokens,
  type NewToken,
  specialTokensMap,
  type TokenRole,
  vocabularySize,
  withClassDefaults,
  withConfiguredTokens,
} from "./added-tokens.ts";
import { bpeMerger } from "./bpe-merge.ts";
import { gpt2Words } from "./byte-level.ts";
import { llamaPipeline } from "./llama-pipeline.ts";
import type {
  AddedToken,
  PipelineStep,
  TokenizerConfig,
  TokenizerFiles,
  TokenizerJson,
} from "./tokenizer-files.ts";

export interface EncodeOptions {
  /** Let the post-processor put its special tokens around the text (a `<s>` in front, say). Default true. */
  addSpecialTokens?: boolean;
}

export interface DecodeOptions {
  /** Leave special tokens out. Default false. */
  skipSpecialTokens?: boolean;
}

export interface TokenizerOptions {
  /** `model_type` of the model's `config.json`, which `transformers` consults for the tokenizer's class. */
  modelType?: string;
}

/** An immutable tokenizer. Ids are whole numbers below `vocabSize`. */
export interface Tokenizer {
  /** The ids of a text. Special tokens written in the text are recognised as such. */
  encode(text: string, options?: EncodeOptions): number[];
  encodeBatch(texts: readonly string[], options?: EncodeOptions): number[][];
  /** The text of ids. Ids outside the vocabulary are skipped, bytes that are no UTF-8 become U+FFFD. */
  decode(ids: readonly number[], options?: DecodeOptions): string;
  tokenToId(token: string): number | undefined;
  idToToken(id: number): string | undefined;
  /** Largest id + 1, added tokens included: the least number of embedding rows. */
  readonly vocabSize: number;
  readonly bosId: number | undefined;
  readonly eosId: number | undefined;
  readonly padId: number | undefined;
  readonly unkId: number | undefined;
  /** Ids that `skipSpecialTokens` leaves out. */
  readonly specialIds: ReadonlySet<number>;
  /** The roles that are filled, as templates see them: `{bos_token: "<s>", ...}`. */
  readonly specialTokens: Partial<Record<TokenRole, string>>;
  readonly addedTokens: readonly AddedToken[];
  /** `tokenizer.json` as it is applied, for code that needs the pipeline's steps. Do not modify. */
  readonly definition: TokenizerJson;
  readonly config: TokenizerConfig;
  /** Another tokenizer with these tokens too; `added` are those that got a new id (resize the embeddings). */
  addTokens(tokens: readonly NewToken[]): { tokenizer: Tokenizer; added: AddedToken[] };
  /** Another tokenizer with these entries of `tokenizer_config.json` changed (`eos_token`, `chat_template`, ...). */
  withConfig(changes: Partial<TokenizerConfig>): Tokenizer;
  /** The contents of both files, to be saved. */
  toJSON(): TokenizerFiles;
}

/**
 * Makes a tokenizer from the parsed contents of `tokenizer.json` and `tokenizer_config.json`.
 *
 * @throws TokenizerError when the files do not describe a tokenizer that this library knows.
 * @example
 * const tokenizer = createTokenizer({ tokenizer: JSON.parse(a), config: JSON.parse(b) });
 * tokenizer.decode(tokenizer.encode("Hello"));
 */
export function createTokenizer(files: TokenizerFiles, options: TokenizerOptions = {}): Tokenizer {
  const stored = { ...files.tokenizer, added_tokens: files.tokenizer?.added_tokens ?? [] };
  if (typeof stored.model?.vocab !== "object") {
    throw new TokenizerError(
      "createTokenizer: tokenizer.json needs a model with a vocabulary, got " +
        `${Object.keys(files.tokenizer ?? {}).join(", ") || "nothing"}. Save the tokenizer again with save_pretrained.`,
    );
  }
  const config = withClassDefaults({ tokenizer: stored, config: files.config }, options.modelType);
  const complete = withConfiguredTokens({ tokenizer: stored, config });
  const definition = llamaPipeline({ tokenizer: complete, config }, options.modelType);
  const engine = makeEngine(definition);
  const vocabSize = vocabularySize(definition);
  const specialTokens = specialTokensMap(config);
  const specialIds = new Set(
    definition.added_tokens.filter((token) => token.special).map((token) => token.id),
  );
  const idOf = (token: string | undefined) => (token === undefined ? undefined : engine.token_to_id(token));

  const tokenizer: Tokenizer = {
    vocabSize,
    bosId: idOf(specialTokens.bos_token),
    eosId: idOf(specialTokens.eos_token),
    padId: idOf(specialTokens.pad_token),
    unkId: idOf(specialTokens.unk_token),
    specialIds,
    specialTokens,
    addedTokens: definition.added_tokens,
    definition,
    config: files.config,
    encode: (text, { addSpecialTokens = true } = {}) =>
      engine.encode(text, { add_special_tokens: addSpecialTokens }).ids,
    encodeBatch: (texts, encodeOptions) => texts.map((text) => tokenizer.encode(text, encodeOptions)),
    decode(ids, { skipSpecialTokens = false } = {}) {
      const known = ids.filter(
        (id) => engine.id_to_token(id) !== undefined && !(skipSpecialTokens && specialIds.has(id)),
      );
      return known.length === 0 ? "" : engine.decode(known);
    },
    tokenToId: (token) => engine.token_to_id(token),
    idToToken: (id) => engine.id_to_token(id),
    addTokens(tokens) {
      const grown = addTokens(complete, tokens);
      const next = createTokenizer(
        { tokenizer: grown.tokenizer, config: grownConfig(files.config, grown.tokenizer) },
        options,
      );
      return { tokenizer: next, added: grown.added };
    },
    withConfig: (changes) =>
      createTokenizer({ tokenizer: complete, config: { ...files.config, ...changes } }, options),
    toJSON: () => structuredClone({ tokenizer: complete, config: files.config }),
  };
  return tokenizer;
}

/**
 * The library's tokenizer, with clean-up off (as `transformers` 5 has it) and `repair`. Plain BPE is merged by
 * `bpeMerger`; the library, whose merging is slow on long words, is not even given the merges.
 */
function makeEngine(definition: TokenizerJson): Engine {
  const { model } = definition;
  const plainBpe = model.type === "BPE" && !model.end_of_word_suffix && !model.continuing_subword_prefix;
  let engine: Engine;
  try {
    engine = new Engine(plainBpe ? { ...definition, model: { ...model, merges: [] } } : definition, {
      clean_up_tokenization_spaces: false,
    });
  } catch (error) {
    throw new TokenizerError(
      `createTokenizer: ${(error as Error).message}. tokenizer.json must describe a BPE, Unigram or WordPiece ` +
        "tokenizer in the form that Hugging Face tokenizers writes.",
      { cause: error },
    );
  }
  if (plainBpe) (engine.model as unknown as { bpe: (word: string) => string[] }).bpe = bpeMerger(model);
  repair(engine.pre_tokenizer);
  repair(engine.decoder);
  return engine;
}

/** A pipeline step of the library, as far as it is repaired. */
interface EngineStep {
  config?: PipelineStep;
  decoders?: EngineStep[];
  tokenizers?: EngineStep[];
  text_decoder?: TextDecoder;
  pattern?: RegExp;
}

/**
 * Two places where the library differs from `tokenizers`: its ByteFallback decoder drops U+FEFF at the start of a run
 * of byte tokens, and its GPT-2 pattern uses JavaScript's idea of white space.
 */
function repair(given: unknown): void {
  const step = given as EngineStep | null;
  if (step?.config?.type === "ByteFallback")
    step.text_decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  if (step?.config?.type === "ByteLevel" && step.pattern) step.pattern = gpt2Words;
  for (const inner of [...(step?.decoders ?? []), ...(step?.tokenizers ?? [])]) repair(inner);
}

/** `added_tokens_decoder` lists the added tokens a second time in some files: keep both lists equal. */
function grownConfig(config: TokenizerConfig, { added_tokens }: TokenizerJson): TokenizerConfig {
  if (!config.added_tokens_decoder) return config;
  const decoder = Object.fromEntries(added_tokens.map(({ id, ...token }) => [String(id), token]));
  return { ...config, added_tokens_decoder: decoder };
}
