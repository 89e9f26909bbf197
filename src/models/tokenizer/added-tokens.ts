/**
 * Special and added tokens of a tokenizer: which there are, which ids they get, and what roles they play.
 *
 * Loading follows `transformers` 5: tokens named in `tokenizer_config.json` alone (`added_tokens_decoder`, then the
 * roles, then the extra special tokens) are added to the vocabulary at its end, in that order.
 */
import { TokenizerError } from "../errors.ts";
import type {
  AddedToken,
  ConfigToken,
  TokenizerConfig,
  TokenizerFiles,
  TokenizerJson,
} from "./tokenizer-files.ts";

/** The named roles, in the order in which `transformers` adds missing ones. */
const roles = [
  "bos_token",
  "eos_token",
  "unk_token",
  "sep_token",
  "pad_token",
  "cls_token",
  "mask_token",
] as const;
export type TokenRole = (typeof roles)[number];

/** A token to add: its text, or its text with matching flags (all false, `special` true unless said otherwise). */
export type NewToken = string | (Partial<Omit<AddedToken, "id">> & { content: string });

/** Roles that a tokenizer class of `transformers` fills where the configuration does not mention them. */
const classRoles: Record<string, Partial<Record<TokenRole, string>>> = {
  GPT2Tokenizer: { bos_token: "<|endoftext|>", eos_token: "<|endoftext|>", unk_token: "<|endoftext|>" },
  GPTNeoXTokenizer: {
    bos_token: "<|endoftext|>",
    eos_token: "<|endoftext|>",
    unk_token: "<|endoftext|>",
    pad_token: "<|padding|>",
  },
  LlamaTokenizer: { bos_token: "<s>", eos_token: "</s>", unk_token: "<unk>" },
  Qwen2Tokenizer: { eos_token: "<|endoftext|>", unk_token: "<|endoftext|>", pad_token: "<|endoftext|>" },
};

/** The class for a `model_type` whose `tokenizer_config.json` names none (that of gpt2 itself, for one). */
const classOfModel: Record<string, string> = {
  gpt2: "GPT2Tokenizer",
  gpt_neo: "GPT2Tokenizer",
  gpt_neox: "GPTNeoXTokenizer",
  llama: "LlamaTokenizer",
  qwen2: "Qwen2Tokenizer",
  qwen3: "Qwen2Tokenizer",
};

/** The text of a token in `tokenizer_config.json`, or undefined. */
export function tokenText(token: ConfigToken | undefined): string | undefined {
  return typeof token === "string" ? token : (token?.content ?? undefined);
}

/** The roles that a configuration fills, as `transformers`' `special_tokens_map`: `{bos_token: "<s>", ...}`. */
export function specialTokensMap(config: TokenizerConfig): Partial<Record<TokenRole, string>> {
  const entries = roles.map((role) => [role, tokenText(config[role] as ConfigToken | undefined)] as const);
  return Object.fromEntries(entries.filter(([, text]) => text !== undefined));
}

/**
 * The configuration with its class and the roles that the class fills by itself. A role whose token the vocabulary
 * lacks stays empty (`transformers` would add a token that the model has no embedding for).
 */
export function withClassDefaults(
  { tokenizer, config }: TokenizerFiles,
  modelType?: string,
): TokenizerConfig {
  const name = (config.tokenizer_class ?? classOfModel[modelType ?? ""])?.replace(/Fast$/, "");
  const { vocab } = tokenizer.model;
  const known = new Set(tokenizer.added_tokens.map((token) => token.content));
  const defaults = Object.entries(classRoles[name ?? ""] ?? {}).filter(
    ([, token]) => known.has(token) || (!Array.isArray(vocab) && Object.hasOwn(vocab, token)),
  );
  return { ...(name ? { tokenizer_class: name } : {}), ...Object.fromEntries(defaults), ...config };
}

/** Largest id + 1 over model vocabulary and added tokens: the rows that an embedding needs. */
export function vocabularySize(tokenizer: TokenizerJson): number {
  const { vocab } = tokenizer.model;
  let size = Array.isArray(vocab) ? vocab.length : 0;
  if (!Array.isArray(vocab)) for (const id of Object.values(vocab)) size = Math.max(size, id + 1);
  for (const { id } of tokenizer.added_tokens) size = Math.max(size, id + 1);
  return size;
}

/**
 * A copy of `tokenizer` with `tokens` among its added tokens. A token that the vocabulary has keeps its id, a new one
 * gets the next; one that was added before only becomes special where the new one is.
 *
 * @returns the new definition and the tokens that got a new id (an embedding grows by that many rows).
 */
export function addTokens(
  tokenizer: TokenizerJson,
  tokens: readonly NewToken[],
): { tokenizer: TokenizerJson; added: AddedToken[] } {
  const { vocab } = tokenizer.model;
  const idOf = (text: string) =>
    Array.isArray(vocab)
      ? vocab.findIndex(([token]) => token === text)
      : Object.hasOwn(vocab, text)
        ? (vocab[text] ?? -1)
        : -1;
  const all = new Map(tokenizer.added_tokens.map((token) => [token.content, token]));
  const added: AddedToken[] = [];
  let next = vocabularySize(tokenizer);
  for (const token of tokens) {
    const wanted = typeof token === "string" ? { content: token } : token;
    const { content, special = true } = wanted;
    if (content === "") throw new TokenizerError("addTokens: a token needs text, got an empty string.");
    const before = all.get(content);
    if (before) {
      all.set(content, { ...before, special: before.special || special });
      continue;
    }
    const known = idOf(content);
    const made = {
      id: known >= 0 ? known : next++,
      content,
      single_word: wanted.single_word ?? false,
      lstrip: wanted.lstrip ?? false,
      rstrip: wanted.rstrip ?? false,
      normalized: wanted.normalized ?? !special,
      special,
    };
    all.set(content, made);
    if (known < 0) added.push(made);
  }
  const sorted = [...all.values()].sort((a, b) => a.id - b.id);
  return { tokenizer: { ...tokenizer, added_tokens: sorted }, added };
}

/** The definition with the tokens that only `tokenizer_config.json` names added to `tokenizer.json`. */
export function withConfiguredTokens({ tokenizer, config }: TokenizerFiles): TokenizerJson {
  const named = roles.map((role) => config[role]);
  const extra = [config.extra_special_tokens, config.additional_special_tokens].flatMap((list) =>
    Array.isArray(list) ? list : list && typeof list === "object" ? Object.values(list) : [],
  );
  const decoder = Object.entries(config.added_tokens_decoder ?? {})
    .sort(([a], [b]) => Number(a) - Number(b))
    .map(([, token]) => ({ ...token, special: token.special ?? false }));
  const special = [...named, ...extra].flatMap((token): NewToken[] => {
    const text = tokenText(token as ConfigToken | undefined);
    if (text === undefined) return [];
    return [
      typeof token === "string" ? text : { ...(token as Partial<AddedToken>), content: text, special: true },
    ];
  });
  return addTokens(tokenizer, [...decoder, ...special]).tokenizer;
}
