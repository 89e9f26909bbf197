/** A preference as token ids: one prompt, the response that was preferred, and the other. */
import { type Example, exampleOf } from "./example.ts";
import type { Source } from "./rows.ts";

export interface Pair {
  readonly prompt: Int32Array;
  /** The response's ids, end-of-text included unless it was cut. */
  readonly chosen: Int32Array;
  readonly rejected: Int32Array;
  /** How much better the chosen one is, where the data says so. */
  readonly margin?: number;
  /** Neither is better. */
  readonly tie?: boolean;
  /** As the model sees them. */
  readonly texts: { readonly prompt: string; readonly chosen: string; readonly rejected: string };
  /** Columns of the row besides those. */
  readonly row: Readonly<Record<string, unknown>>;
  readonly source: Source;
}

/** A response of a pair as a row of its own; the tokens of the response count. */
export const responseOf = (pair: Pair, side: "chosen" | "rejected"): Example =>
  exampleOf(pair.prompt, pair[side], pair.source);

/** Tokens of the longer of a pair's two rows. */
export const pairLength = ({ prompt, chosen, rejected }: Pair): number =>
  prompt.length + Math.max(chosen.length, rejected.length);
