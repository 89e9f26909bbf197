/** What a dataset is, before anybody waits for it: rows, tokens, labels, lengths, whether the end of text is learnt. */
import type { Tokenizer } from "../models/tokenizer/tokenizer.ts";
import type { Dataset } from "./dataset.ts";
import { type Example, labelCount } from "./example.ts";

export interface Preflight {
  readonly rows: number;
  /** Rows after cutting long ones, before packing. */
  readonly examples: number;
  /** Rows of batches. */
  readonly packed?: number;
  readonly tokens: number;
  readonly labels: number;
  /** Share of examples in which the end-of-text token is a label. */
  readonly eosShare: number;
  readonly lengths: {
    readonly min: number;
    readonly median: number;
    readonly p95: number;
    readonly max: number;
  };
  readonly skipped: readonly string[];
  /** One example as pieces of text, each with whether it counts in the loss. */
  readonly sample: readonly { readonly text: string; readonly counts: boolean }[];
}

export function preflight(
  { unpacked, examples, rows, skipped, packed }: Dataset,
  tokenizer: Tokenizer,
): Preflight {
  const lengths = unpacked.map(({ ids }) => ids.length).sort((a, b) => a - b);
  const at = (share: number) =>
    lengths[Math.min(lengths.length - 1, Math.floor(share * lengths.length))] as number;
  const sum = (list: readonly number[]) => list.reduce((a, b) => a + b, 0);
  // A template may write a line break after the end of a turn.
  const learnsEnd = unpacked.filter(({ ids, counts }) =>
    [1, 2].some((back) => ids.at(-back) === tokenizer.eosId && counts.at(-back) === 1),
  ).length;
  return {
    rows,
    examples: unpacked.length,
    ...(packed && { packed: examples.length }),
    tokens: sum(lengths),
    labels: sum(unpacked.map(labelCount)),
    eosShare: learnsEnd / unpacked.length,
    lengths: { min: at(0), median: at(0.5), p95: at(0.95), max: at(1) },
    skipped,
    sample: piecesOf(unpacked[0] as Example, tokenizer),
  };
}

/** Runs of tokens that count, or do not. */
function piecesOf({ ids, counts }: Example, tokenizer: Tokenizer) {
  const pieces: { text: string; counts: boolean }[] = [];
  for (let from = 0; from < ids.length; ) {
    let to = from + 1;
    while (to < ids.length && counts[to] === counts[from]) to++;
    pieces.push({ text: tokenizer.decode([...ids.subarray(from, to)]), counts: counts[from] === 1 });
    from = to;
  }
  return pieces;
}
