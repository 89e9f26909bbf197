/** What a dataset is, before anybody waits for it: rows, tokens, labels, lengths, whether the end of text is learnt. */
import type { Tokenizer } from "../models/tokenizer/tokenizer.ts";
import type { Dataset } from "./dataset.ts";
import { type Example, exampleOf, labelCount } from "./example.ts";
import type { LabelDataset, Labelled } from "./labels.ts";
import { type Pair, pairLength, responseOf } from "./pair.ts";
import type { PreferenceDataset } from "./preferences.ts";
import type { PromptDataset, PromptExample } from "./prompts.ts";
import type { RankedList, RankingDataset } from "./rankings.ts";

/** In tokens. */
export interface Lengths {
  readonly min: number;
  readonly median: number;
  readonly p95: number;
  readonly max: number;
}

/** A run of text, and whether it counts in the loss. */
export interface Piece {
  readonly text: string;
  readonly counts: boolean;
}

export interface Preflight {
  /** What one of the examples is. */
  readonly of: "rows" | "pairs" | "prompts" | "lists";
  /** Rows of the files. */
  readonly rows: number;
  /** Rows after cutting long ones, before packing; pairs; prompts. */
  readonly examples: number;
  /** Rows of batches. */
  readonly packed?: number;
  readonly tokens: number;
  /** Tokens that count in the loss. */
  readonly labels: number;
  /** Share of examples in which the end-of-text token is a label; of pairs, of all responses. */
  readonly eosShare: number;
  /** Of a pair the longer of its two rows. */
  readonly lengths: Lengths;
  readonly pairs?: PairFigures;
  /** Share of labelled completions that are desirable. */
  readonly desirableShare?: number;
  /** Rows of each format. */
  readonly formats?: Readonly<Record<string, number>>;
  readonly skipped: readonly string[];
  /** One example as pieces of text, each with whether it counts in the loss; of a pair the chosen response. */
  readonly sample: readonly Piece[];
  /** The rejected response to the same prompt. */
  readonly rejectedSample?: readonly Piece[];
}

export interface PairFigures {
  readonly ties: number;
  /** Share of pairs that say by how much. */
  readonly marginShare: number;
  readonly prompt: Lengths;
  readonly chosen: Lengths;
  readonly rejected: Lengths;
  /** Share of pairs whose chosen response is the longer one; equal lengths count half. */
  readonly longerChosen: number;
}

/** Of texts, completions and conversations. */
export function preflight(
  { unpacked, examples, rows, skipped, packed, formats }: Dataset,
  tokenizer: Tokenizer,
): Preflight {
  const survey = surveyOf(unpacked, ({ ids }) => ids.length);
  let labels = 0;
  let ends = 0;
  for (const example of unpacked) {
    labels += labelCount(example);
    ends += Number(learnsEnd(example, tokenizer));
  }
  return {
    of: "rows",
    rows,
    examples: unpacked.length,
    ...(packed && { packed: examples.length }),
    ...survey,
    labels,
    eosShare: ends / unpacked.length,
    ...(formats && { formats }),
    skipped,
    sample: piecesOf(unpacked.at(0) as Example, tokenizer),
  };
}

/** Of preferences. */
export function preferencePreflight(
  { pairs, rows, skipped, formats }: PreferenceDataset,
  tokenizer: Tokenizer,
): Preflight {
  const [prompt, chosen, rejected] = (["prompt", "chosen", "rejected"] as const).map((side) =>
    surveyOf(pairs, (pair) => pair[side].length),
  ) as [Survey, Survey, Survey];
  let [ties, margins, longer, ends] = [0, 0, 0, 0];
  for (const pair of pairs) {
    ties += Number(pair.tie ?? false);
    margins += Number(pair.margin !== undefined);
    longer += (1 + Math.sign(pair.chosen.length - pair.rejected.length)) / 2;
    for (const side of ["chosen", "rejected"] as const)
      ends += Number(learnsEnd(responseOf(pair, side), tokenizer));
  }
  const first = pairs.at(0) as Pair;
  return {
    of: "pairs",
    rows,
    examples: pairs.length,
    tokens: 2 * prompt.tokens + chosen.tokens + rejected.tokens,
    labels: chosen.tokens + rejected.tokens,
    eosShare: ends / (2 * pairs.length),
    lengths: surveyOf(pairs, pairLength).lengths,
    pairs: {
      ties,
      marginShare: margins / pairs.length,
      prompt: prompt.lengths,
      chosen: chosen.lengths,
      rejected: rejected.lengths,
      longerChosen: longer / pairs.length,
    },
    formats,
    skipped,
    sample: piecesOf(responseOf(first, "chosen"), tokenizer),
    rejectedSample: piecesOf(responseOf(first, "rejected"), tokenizer),
  };
}

/** Of ranked lists. */
export function rankingPreflight(
  { lists, rows, skipped, formats }: RankingDataset,
  tokenizer: Tokenizer,
): Preflight {
  let [labels, ends, responses, repeats] = [0, 0, 0, 0];
  for (const list of lists) {
    repeats += list.prompt.length * (list.responses.length - 1);
    for (const ids of list.responses) {
      labels += ids.length;
      responses++;
      ends += Number(learnsEnd(exampleOf(list.prompt, ids, list.source), tokenizer));
    }
  }
  const longest = ({ prompt, responses }: RankedList) =>
    prompt.length + Math.max(...responses.map((ids) => ids.length));
  const first = lists.at(0) as RankedList;
  const best = first.ranks.indexOf(Math.min(...first.ranks));
  const { lengths } = surveyOf(lists, longest);
  const { tokens: prompts } = surveyOf(lists, ({ prompt }) => prompt.length);
  return {
    of: "lists",
    rows,
    examples: lists.length,
    tokens: prompts + repeats + labels,
    labels,
    eosShare: ends / responses,
    lengths,
    formats,
    skipped,
    sample: piecesOf(exampleOf(first.prompt, first.responses[best] as Int32Array, first.source), tokenizer),
  };
}

/** Of labelled completions. */
export function labelPreflight(
  { examples, rows, skipped, formats }: LabelDataset,
  tokenizer: Tokenizer,
): Preflight {
  const exampleAt = ({ prompt, completion, source }: Labelled) => exampleOf(prompt, completion, source);
  let [desirable, labels, ends] = [0, 0, 0];
  for (const row of examples) {
    desirable += Number(row.label);
    labels += row.completion.length;
    ends += Number(learnsEnd(exampleAt(row), tokenizer));
  }
  return {
    of: "rows",
    rows,
    examples: examples.length,
    ...surveyOf(examples, ({ prompt, completion }) => prompt.length + completion.length),
    labels,
    eosShare: ends / examples.length,
    desirableShare: desirable / examples.length,
    formats,
    skipped,
    sample: piecesOf(exampleAt(examples.at(0) as Labelled), tokenizer),
  };
}

/** Of prompts; nothing of them counts in a loss. */
export function promptPreflight(
  { prompts, rows, skipped, formats }: PromptDataset,
  tokenizer: Tokenizer,
): Preflight {
  const { ids } = prompts.at(0) as PromptExample;
  return {
    of: "prompts",
    rows,
    examples: prompts.length,
    ...surveyOf(prompts, (prompt) => prompt.ids.length),
    labels: 0,
    eosShare: 0,
    formats,
    skipped,
    sample: [{ text: tokenizer.decode([...ids]), counts: false }],
  };
}

interface Survey {
  readonly tokens: number;
  readonly lengths: Lengths;
}

function surveyOf<T>(list: Iterable<T> & { readonly length: number }, lengthOf: (item: T) => number): Survey {
  const lengths = new Int32Array(list.length);
  let i = 0;
  for (const item of list) lengths[i++] = lengthOf(item);
  lengths.sort();
  const at = (share: number) =>
    lengths[Math.min(lengths.length - 1, Math.floor(share * lengths.length))] as number;
  return {
    tokens: lengths.reduce((a, b) => a + b, 0),
    lengths: { min: at(0), median: at(0.5), p95: at(0.95), max: at(1) },
  };
}

/** A template may write a line break after the end of a turn. */
const learnsEnd = ({ ids, counts }: Example, { eosId }: Tokenizer): boolean =>
  eosId !== undefined && [1, 2].some((back) => ids.at(-back) === eosId && counts.at(-back) === 1);

/** Runs of tokens that count, or do not. */
function piecesOf({ ids, counts }: Example, tokenizer: Tokenizer): Piece[] {
  const pieces: Piece[] = [];
  for (let from = 0; from < ids.length; ) {
    let to = from + 1;
    while (to < ids.length && counts[to] === counts[from]) to++;
    pieces.push({ text: tokenizer.decode([...ids.subarray(from, to)]), counts: counts[from] === 1 });
    from = to;
  }
  return pieces;
}
