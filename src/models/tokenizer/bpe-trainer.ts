/**
 * Training a byte-level BPE from text into the objects behind `tokenizer.json` and `tokenizer_config.json`.
 *
 * Sennrich et al. 2016 (BPE) over the bytes of words cut by GPT-2's regular expression (Radford et al. 2019).
 * Counting is incremental: words are unique and weighted, a heap holds the pair counts, and a merge touches only
 * the words that contain its pair. Order, ties and stale counts follow the `BpeTrainer` of Hugging Face
 * `tokenizers` (highest count first, then the lower left id, then the lower right id), so the merges are equal.
 */

import { TokenizerError } from "../errors.ts";
import { byteToSymbol, gpt2Words, utf8Encoder } from "./byte-level.ts";
import { PairHeap } from "./pair-heap.ts";
import type { TokenizerConfig, TokenizerJson } from "./tokenizer-files.ts";

/** What `trainBpe` needs to know. `vocabSize` counts special tokens and the 256 bytes. */
export interface BpeTrainerOptions {
  vocabSize: number;
  /** A pair seen fewer times (over the whole text) is not merged. Default 2. */
  minFrequency?: number;
  /** Whole tokens that take the first ids, in this order. Default `["<|endoftext|>"]`. */
  specialTokens?: readonly string[];
  /** Roles, each one of `specialTokens`. `eosToken` defaults to the first special token, `padToken` to `eosToken`. */
  bosToken?: string;
  eosToken?: string;
  padToken?: string;
  unkToken?: string;
  /** Put `bosToken` before every encoded text (a TemplateProcessing post-processor). Default false. */
  addBosToken?: boolean;
}

/** The two files of a tokenizer, parsed, and its size (largest id + 1; smaller than asked when pairs run out). */
export interface TrainedBpe {
  tokenizer: TokenizerJson;
  config: TokenizerConfig;
  vocabSize: number;
}

/** Room for a pair of ids in one exact double: ids stay below 2^26. */
const PAIR_BASE = 2 ** 26;

/**
 * Trains a byte-level BPE. Texts are independent: no word crosses from one into the next.
 *
 * @throws TokenizerError when `vocabSize` is below the special tokens plus 256 bytes, a role names a token that is
 * not in `specialTokens`, or special tokens repeat.
 * @example
 * const { tokenizer, config } = trainBpe(["the cat sat", "the cat ran"], { vocabSize: 260 });
 */
export function trainBpe(texts: Iterable<string>, options: BpeTrainerOptions): TrainedBpe {
  const specialTokens = options.specialTokens ?? ["<|endoftext|>"];
  const minFrequency = options.minFrequency ?? 2;
  const baseSize = specialTokens.length + 256;
  if (!Number.isInteger(options.vocabSize) || options.vocabSize < baseSize) {
    throw new TokenizerError(
      `trainBpe: vocabSize must be a whole number of at least ${baseSize} (256 bytes and ` +
        `${specialTokens.length} special tokens), got ${options.vocabSize}. Ask for more.`,
    );
  }
  if (new Set(specialTokens).size !== specialTokens.length) {
    throw new TokenizerError(`trainBpe: special tokens must differ, got ${JSON.stringify(specialTokens)}.`);
  }

  const vocabulary = new Map<string, number>();
  for (const token of specialTokens) vocabulary.set(token, vocabulary.size);
  for (const symbol of [...byteToSymbol].sort((a, b) => (a < b ? -1 : 1))) {
    if (!vocabulary.has(symbol)) vocabulary.set(symbol, vocabulary.size);
  }

  const { words, counts } = countWords(texts, vocabulary);
  const merges = learnMerges(words, counts, vocabulary, options.vocabSize, minFrequency);
  const tokenizer = tokenizerJson(specialTokens, vocabulary, merges, options);
  return { tokenizer, config: tokenizerConfig(specialTokens, options), vocabSize: vocabulary.size };
}

/** Unique words as symbol ids, with how often each came. */
function countWords(texts: Iterable<string>, vocabulary: ReadonlyMap<string, number>) {
  const tally = new Map<string, number>();
  for (const text of texts) {
    for (const word of text.match(gpt2Words) ?? []) tally.set(word, (tally.get(word) ?? 0) + 1);
  }
  const byteIds = byteToSymbol.map((symbol) => vocabulary.get(symbol) as number);
  const words: number[][] = [];
  const counts: number[] = [];
  for (const [word, count] of tally) {
    words.push(Array.from(utf8Encoder.encode(word), (byte) => byteIds[byte] as number));
    counts.push(count);
  }
  return { words, counts };
}

/** Adds merged tokens to `vocabulary` until it holds `vocabSize`; returns the merges in order. */
function learnMerges(
  words: number[][],
  counts: readonly number[],
  vocabulary: Map<string, number>,
  vocabSize: number,
  minFrequency: number,
): [string, string][] {
  const tokens = [...vocabulary.keys()];
  const pairCounts = new Map<number, number>();
  const wordsOfPair = new Map<number, Set<number>>();
  const add = (pair: number, word: number, amount: number) => {
    pairCounts.set(pair, (pairCounts.get(pair) ?? 0) + amount);
    if (amount <= 0) return;
    const set = wordsOfPair.get(pair);
    if (set) set.add(word);
    else wordsOfPair.set(pair, new Set([word]));
  };
  words.forEach((symbols, word) => {
    const count = counts[word] as number;
    for (let i = 1; i < symbols.length; i++) {
      add((symbols[i - 1] as number) * PAIR_BASE + (symbols[i] as number), word, count);
    }
  });
  const heap = new PairHeap();
  for (const [pair, count] of pairCounts) if (count > 0) heap.push(pair, count);

  const merges: [string, string][] = [];
  while (vocabulary.size < vocabSize) {
    const top = heap.pop();
    if (!top) break;
    const current = pairCounts.get(top.pair) as number;
    if (current !== top.count) {
      heap.push(top.pair, current);
      continue;
    }
    if (current < 1 || current < minFrequency) break;

    const left = Math.floor(top.pair / PAIR_BASE);
    const right = top.pair % PAIR_BASE;
    const token = `${tokens[left]}${tokens[right]}`;
    let merged = vocabulary.get(token);
    if (merged === undefined) {
      merged = vocabulary.size;
      vocabulary.set(token, merged);
      tokens.push(token);
    }
    merges.push([tokens[left] as string, tokens[right] as string]);

    const touched = wordsOfPair.get(top.pair) ?? new Set<number>();
    wordsOfPair.delete(top.pair);
    const grown = new Set<number>();
    for (const word of touched) {
      const count = counts[word] as number;
      mergeInPlace(words[word] as number[], left, right, merged, (a, b, sign) => {
        const pair = a * PAIR_BASE + b;
        add(pair, word, sign * count);
        if (sign > 0) grown.add(pair);
      });
    }
    for (const pair of grown) {
      const count = pairCounts.get(pair) as number;
      if (count > 0) heap.push(pair, count);
    }
  }
  return merges;
}

/** Replaces each `left right` in a word by `merged` and tells which neighbouring pairs went (-1) and came (+1). */
function mergeInPlace(
  symbols: number[],
  left: number,
  right: number,
  merged: number,
  change: (a: number, b: number, sign: 1 | -1) => void,
): void {
  let write = 0;
  for (let read = 0; read < symbols.length; write++) {
    const symbol = symbols[read] as number;
    if (symbol !== left || symbols[read + 1] !== right) {
      symbols[write] = symbol;
      read++;
      continue;
    }
    const before = write > 0 ? symbols[write - 1] : undefined;
    const after = symbols[read + 2];
    if (before !== undefined) {
      change(before, left, -1);
      change(before, merged, 1);
    }
    if (after !== undefined) {
      change(right, after, -1);
      change(merged, after, 1);
    }
    symbols[write] = merged;
    read += 2;
  }
  symbols.length = write;
}

function tokenizerJson(
  specialTokens: readonly string[],
  vocabulary: ReadonlyMap<string, number>,
  merges: [string, string][],
  options: BpeTrainerOptions,
): TokenizerJson {
  const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true };
  const bos = options.addBosToken ? role(specialTokens, options.bosToken, "bosToken") : undefined;
  const template = bos && {
    type: "TemplateProcessing",
    single: [{ SpecialToken: { id: bos, type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
    pair: [
      { SpecialToken: { id: bos, type_id: 0 } },
      { Sequence: { id: "A", type_id: 0 } },
      { Sequence: { id: "B", type_id: 1 } },
    ],
    special_tokens: { [bos]: { id: bos, ids: [vocabulary.get(bos) as number], tokens: [bos] } },
  };
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: specialTokens.map((content, id) => ({
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: template || { ...byteLevel, trim_offsets: false },
    decoder: byteLevel,
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(vocabulary),
      merges,
    },
  };
}

function tokenizerConfig(specialTokens: readonly string[], options: BpeTrainerOptions): TokenizerConfig {
  const eos = role(specialTokens, options.eosToken, "eosToken") ?? specialTokens[0];
  const roles = {
    bos_token: role(specialTokens, options.bosToken, "bosToken"),
    eos_token: eos,
    pad_token: role(specialTokens, options.padToken, "padToken") ?? eos,
    unk_token: role(specialTokens, options.unkToken, "unkToken"),
  };
  return {
    tokenizer_class: "PreTrainedTokenizerFast",
    clean_up_tokenization_spaces: false,
    ...Object.fromEntries(Object.entries(roles).filter(([, token]) => token !== undefined)),
  };
}

function role(specialTokens: readonly string[], token: string | undefined, name: string): string | undefined {
  if (token !== undefined && !specialTokens.includes(token)) {
    throw new TokenizerError(
      `trainBpe: ${name} must be one of specialTokens ${JSON.stringify(specialTokens)}, got ${JSON.stringify(token)}. ` +
        "Add it to specialTokens.",
    );
  }
  return token;
}
