/**
 * Where a completion's text begins: it is what follows the prompt's text, not the decoding of the new ids alone.
 * Tokenizers with a prefix space (SentencePiece's) drop the space of whatever token comes first, and a prompt may
 * end inside a character that the new tokens complete.
 */
import type { Tokenizer } from "../models/tokenizer/tokenizer.ts";

/** Ids of the prompt that are decoded along: one would do for spaces, four for a character in bytes. */
const contextLength = 8;

/** What a decoder puts where bytes are no character (yet). */
export const replacement = "\uFFFD";

/** The prompt's last ids that show, as context for what follows. */
export function promptEnd(tokenizer: Tokenizer, prompt: readonly number[]): number[] {
  const end: number[] = [];
  for (let i = prompt.length - 1; i >= 0 && end.length < contextLength; i--) {
    const id = prompt[i] as number;
    if (tokenizer.idToToken(id) !== undefined && !tokenizer.specialIds.has(id)) end.push(id);
  }
  return end.reverse();
}

/** The text of `ids` after `prompt`, without special tokens: what the prompt's text lacks of both together's. */
export function textAfter(tokenizer: Tokenizer, prompt: readonly number[], ids: readonly number[]): string {
  const end = promptEnd(tokenizer, prompt);
  const before = tokenizer.decode(end);
  const joint = tokenizer.decode([...end, ...ids], { skipSpecialTokens: true });
  const completes = before.endsWith(replacement) && !joint.startsWith(before);
  return joint.slice(before.length - (completes ? 1 : 0));
}
