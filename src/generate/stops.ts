/** When a row ends, and which of its text is certain. */
import { streamDecoder } from "../models/tokenizer/stream-decoder.ts";
import type { Tokenizer } from "../models/tokenizer/tokenizer.ts";
import { promptEnd, replacement } from "./text.ts";

export type FinishReason = "eos" | "stop" | "length";

/** Follows the text of one row after its prompt and looks for stop strings in it. */
export interface TextWatch {
  /** The whole text so far, without a stop string and what follows it. */
  readonly text: string;
  readonly stopped: boolean;
  /** Takes a token; returns the text that is now certain not to belong to a stop string. */
  push(token: number): string;
  /** Returns what was held back; call it once, at the end. */
  flush(): string;
}

/** The most characters at the end of `text` with which one of the stop strings begins. */
function pendingStop(text: string, stops: readonly string[]): number {
  let longest = 0;
  for (const stop of stops)
    for (let n = Math.min(stop.length - 1, text.length); n > longest; n--)
      if (text.endsWith(stop.slice(0, n))) longest = n;
  return longest;
}

export function textWatch(
  tokenizer: Tokenizer,
  stops: readonly string[],
  prompt: readonly number[] = [],
): TextWatch {
  const decoder = streamDecoder(tokenizer, { skipSpecialTokens: true });
  const end = promptEnd(tokenizer, prompt);
  decoder.push(...end);
  // The decoder holds back half a character; it is the prompt's unless the next tokens complete it.
  let heldBack = tokenizer.decode(end).endsWith(replacement);
  let text = "";
  let sent = 0;
  let stopped = false;
  const longest = stops.reduce((n, stop) => Math.max(n, stop.length), 0);
  const take = (given: string) => {
    const piece = heldBack && given.startsWith(replacement) ? given.slice(1) : given;
    if (given !== "") heldBack = false;
    const before = text.length;
    text += piece;
    if (longest === 0 || piece === "") return;
    const from = Math.max(0, before - longest + 1);
    const found = stops.map((stop) => text.indexOf(stop, from)).filter((at) => at >= 0);
    if (found.length === 0) return;
    stopped = true;
    text = text.slice(0, Math.min(...found));
  };
  const send = (upTo: number): string => {
    const piece = text.slice(sent, upTo);
    sent = Math.max(sent, upTo);
    return piece;
  };
  return {
    get text() {
      return text;
    },
    get stopped() {
      return stopped;
    },
    push(token) {
      take(decoder.push(token));
      return send(stopped ? text.length : text.length - pendingStop(text, stops));
    },
    flush() {
      if (!stopped) take(decoder.flush());
      return send(text.length);
    },
  };
}
