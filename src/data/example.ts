/** A tokenised row: what training sees of it. */
import type { Source } from "./rows.ts";

export interface Example {
  readonly ids: Int32Array;
  /** 1 where the token counts in the loss; never the first token of a segment, which nothing predicts. */
  readonly counts: Uint8Array;
  /** Lengths of the rows that were packed into this one; one length when nothing was. */
  readonly segments: readonly number[];
  readonly sources: readonly Source[];
}

/** Number of labels: tokens that count in the loss. */
export function labelCount({ counts }: Example): number {
  let n = 0;
  for (const c of counts) n += c;
  return n;
}

/** A prompt and its completion, of which only the completion counts. */
export function exampleOf(prompt: Int32Array, completion: Int32Array, source: Source): Example {
  const ids = new Int32Array(prompt.length + completion.length);
  ids.set(prompt);
  ids.set(completion, prompt.length);
  const counts = new Uint8Array(ids.length).fill(1, prompt.length);
  counts[0] = 0; // nothing predicts the first token
  return { ids, counts, segments: [ids.length], sources: [source] };
}
