/**
 * Text from tokens as they are generated: the pieces joined are the decoding of all ids at once.
 *
 * A window of ids is decoded again with each token, because a token's text may depend on the one before (leading
 * spaces) or end inside a UTF-8 character. The last U+FFFD is held back: the next bytes may complete it.
 */
import type { DecodeOptions, Tokenizer } from "./tokenizer.ts";

export interface StreamDecoder {
  /** Takes the next ids and returns the text that is now certain (often one word, sometimes nothing). */
  push(...ids: number[]): string;
  /** Returns what was held back, at the end of the text, and starts anew. */
  flush(): string;
}

const replacement = "\uFFFD";

/**
 * A decoder with a memory of one text.
 *
 * @example
 * const decoder = streamDecoder(tokenizer, { skipSpecialTokens: true });
 * for (const id of ids) write(decoder.push(id));
 * write(decoder.flush());
 */
export function streamDecoder(
  tokenizer: Tokenizer,
  { skipSpecialTokens = false }: DecodeOptions = {},
): StreamDecoder {
  /** Ids of the last clean step, for context, then the ids since. */
  let window: number[] = [];
  let contextLength = 0;
  /** How much of the window's text is out. */
  let sent = 0;

  function step(id: number): string {
    if (tokenizer.idToToken(id) === undefined || (skipSpecialTokens && tokenizer.specialIds.has(id)))
      return "";
    window.push(id);
    const text = tokenizer.decode(window);
    const clean = !text.endsWith(replacement);
    const certain = clean ? text : text.slice(0, -1);
    const piece = certain.slice(sent);
    sent = Math.max(sent, certain.length);
    if (clean && text !== "") {
      window = window.slice(contextLength);
      contextLength = window.length;
      sent = tokenizer.decode(window).length;
    }
    return piece;
  }

  return {
    push: (...ids) => ids.map(step).join(""),
    flush() {
      const rest = tokenizer.decode(window).slice(sent);
      window = [];
      contextLength = 0;
      sent = 0;
      return rest;
    },
  };
}
