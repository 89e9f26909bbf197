/**
 * Applying the merges of a BPE to one word, in O(n log n) for words of any length.
 *
 * Llama-style tokenizers do not cut text into words, so a "word" may be a whole document. A heap of (rank, position)
 * pops the lowest rank first and the leftmost of equals, as `tokenizers` does; neighbours live in a linked list.
 */
import { TokenizerError } from "../errors.ts";
import type { TokenizerModel } from "./tokenizer-files.ts";

/** Two whole numbers below 2^26 in one exact double. */
const BASE = 2 ** 26;
/** Short words come again: their pieces are kept, up to this many. */
const CACHE_WORDS = 50_000;
const CACHE_WORD_LENGTH = 64;

/**
 * The function from a word to its pieces. A character that the vocabulary lacks stays a piece of its own.
 *
 * @throws TokenizerError when a merge makes a token that the vocabulary lacks.
 */
export function bpeMerger(model: TokenizerModel): (word: string) => string[] {
  const ids = new Map(Object.entries(model.vocab as Record<string, number>));
  const tokens: string[] = [];
  for (const [token, id] of ids) tokens[id] = token;
  const ranks = new Map<number, number>();
  const results: number[] = [];
  for (const merge of model.merges ?? []) {
    const [left = "", right = ""] = typeof merge === "string" ? merge.split(" ") : merge;
    const [a, b, joined] = [ids.get(left), ids.get(right), ids.get(left + right)];
    if (a === undefined || b === undefined || joined === undefined) {
      throw new TokenizerError(
        `createTokenizer: merge ${results.length} (${JSON.stringify([left, right])}) needs tokens that the vocabulary ` +
          "lacks. tokenizer.json is damaged: save the tokenizer again.",
      );
    }
    if (!ranks.has(a * BASE + b)) ranks.set(a * BASE + b, results.length);
    results.push(joined);
  }
  const cache = new Map<string, string[]>();
  return (word) => {
    const kept = cache.get(word);
    if (kept) return kept;
    const pieces = mergeWord(word, ids, tokens, ranks, results);
    if (word.length <= CACHE_WORD_LENGTH) {
      if (cache.size >= CACHE_WORDS) cache.clear();
      cache.set(word, pieces);
    }
    return pieces;
  };
}

function mergeWord(
  word: string,
  ids: ReadonlyMap<string, number>,
  tokens: readonly string[],
  ranks: ReadonlyMap<number, number>,
  results: readonly number[],
): string[] {
  const characters = Array.from(word);
  const n = characters.length;
  const symbols = Int32Array.from(characters, (character) => ids.get(character) ?? -1);
  const next = Int32Array.from(characters, (_, i) => (i + 1 < n ? i + 1 : -1));
  const previous = Int32Array.from(characters, (_, i) => i - 1);
  const rankAt = (i: number): number | undefined => {
    const j = i < 0 ? -1 : (next[i] as number);
    if (j < 0 || (symbols[i] as number) < 0 || (symbols[j] as number) < 0) return undefined;
    return ranks.get((symbols[i] as number) * BASE + (symbols[j] as number));
  };
  const heap: number[] = [];
  for (let i = 0; i < n - 1; i++) {
    const rank = rankAt(i);
    if (rank !== undefined) push(heap, rank * BASE + i);
  }
  const dead = new Uint8Array(n);
  while (heap.length > 0) {
    const top = pop(heap);
    const rank = Math.floor(top / BASE);
    const i = top % BASE;
    if (dead[i] || rankAt(i) !== rank) continue;
    const j = next[i] as number;
    const after = next[j] as number;
    symbols[i] = results[rank] as number;
    dead[j] = 1;
    next[i] = after;
    if (after >= 0) previous[after] = i;
    for (const at of [previous[i] as number, i]) {
      const fresh = rankAt(at);
      if (fresh !== undefined) push(heap, fresh * BASE + at);
    }
  }
  const pieces: string[] = [];
  for (let i = 0; i >= 0 && i < n; i = next[i] as number) {
    const id = symbols[i] as number;
    pieces.push(id < 0 ? (characters[i] as string) : (tokens[id] as string));
  }
  return pieces;
}

function push(heap: number[], value: number): void {
  let at = heap.length;
  heap.push(value);
  while (at > 0) {
    const parent = (at - 1) >> 1;
    if ((heap[parent] as number) <= value) break;
    heap[at] = heap[parent] as number;
    at = parent;
  }
  heap[at] = value;
}

function pop(heap: number[]): number {
  const top = heap[0] as number;
  const last = heap.pop() as number;
  if (heap.length === 0) return top;
  let at = 0;
  for (;;) {
    let child = 2 * at + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && (heap[child + 1] as number) < (heap[child] as number)) child++;
    if ((heap[child] as number) >= last) break;
    heap[at] = heap[child] as number;
    at = child;
  }
  heap[at] = last;
  return top;
}
