/** Ways to shorten rows that are too long, by name; in a file of its own because the command line prints them. */

/**
 * What happens to rows beyond the maximal length: the start or the end is kept, they are cut into several rows whose
 * tokens all count once, left out, or refused.
 */
export const truncations = ["keep_start", "keep_end", "split", "drop", "error"] as const;
export type Truncation = (typeof truncations)[number];

/** The same for prompts and responses, which cannot be cut into several. */
export const pairTruncations = ["keep_start", "keep_end", "drop", "error"] as const;
export type PairTruncation = (typeof pairTruncations)[number];
