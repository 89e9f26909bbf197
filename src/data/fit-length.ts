/** Shortens a prompt and its responses until they fit, by policies that the user names. */
import { DataError } from "./errors.ts";
import type { PairTruncation } from "./truncation.ts";

export interface LengthOptions {
  /** Tokens of prompt and response together, at most. */
  readonly maxLength: number;
  readonly maxPromptLength?: number;
  readonly maxCompletionLength?: number;
  /** Default `keep_end`: what stands next to the response stays. */
  readonly promptTruncation?: PairTruncation;
  /** Default `keep_start`. */
  readonly completionTruncation?: PairTruncation;
}

/** Why a row was left out: it is longer than the policy `drop` lets through. */
export class DroppedRow extends DataError {
  override name = "DroppedRow";
}

/**
 * Prompt and responses within the limits. Each side is sure of half of `maxLength`, and gets what the other does not
 * need: with P and C the tokens of the prompt and of the longest response, the response keeps
 * min(C, max(L - P, L - L/2)) and the prompt the rest.
 *
 * @throws DroppedRow under the policy `drop`, DataError under `error`
 */
export function fitLength(
  prompt: readonly number[],
  completions: readonly (readonly number[])[],
  options: LengthOptions,
): { prompt: Int32Array; completions: Int32Array[] } {
  const { maxLength, maxPromptLength = maxLength, maxCompletionLength = maxLength } = options;
  const { promptTruncation = "keep_end", completionTruncation = "keep_start" } = options;
  const p = Math.min(prompt.length, maxPromptLength);
  const c = Math.min(Math.max(...completions.map(({ length }) => length)), maxCompletionLength);
  const forCompletion = Math.min(c, Math.max(maxLength - p, maxLength - Math.floor(maxLength / 2)));
  const forPrompt = Math.min(p, maxLength - forCompletion);
  return {
    prompt: cut(prompt, forPrompt, promptTruncation, "prompt", options),
    completions: completions.map((ids) => cut(ids, forCompletion, completionTruncation, "response", options)),
  };
}

/** Ids within `room`, by a policy. */
export function cut(
  ids: readonly number[],
  room: number,
  truncation: PairTruncation,
  what: "prompt" | "response",
  { maxLength }: Pick<LengthOptions, "maxLength">,
): Int32Array {
  if (ids.length <= room) return Int32Array.from(ids);
  if (truncation === "keep_start") return Int32Array.from(ids.slice(0, room));
  if (truncation === "keep_end") return Int32Array.from(ids.slice(ids.length - room));
  const reason = `the ${what} has ${ids.length} tokens, there is room for ${room} (max_length ${maxLength})`;
  if (truncation === "drop") throw new DroppedRow(reason);
  throw new DataError(`${reason}; raise it or choose a truncation`);
}
