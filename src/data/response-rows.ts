/**
 * Responses behind their prompts as ragged rows, and what is read of them.
 *
 * A response token is predicted from the one before it, so what is read is the prompt's last token and all of the
 * response but its last. Responses to one prompt share it where that saves work: the prompt without its last token is the
 * beginning, and each response a branch that starts with that token. Tokens that are read are then those of the branches,
 * and figures of them are one flat list [M], response after response as they were given.
 */
import { type Dim, type HostArray, hostArray, mul, type Tensor, type Tree } from "../graph/index.ts";
import type { ModelConfig } from "../models/config/config.ts";
import { logitsOf } from "../models/model.ts";
import {
  packGroups,
  type RaggedRows,
  type Run,
  raggedArrays,
  raggedRows,
  raggedSpecs,
} from "./packed-rows.ts";

/** A prompt and its response, as token ids. */
export interface TokenSequence {
  readonly promptIds: ArrayLike<number>;
  readonly ids: ArrayLike<number>;
}

/** Tokens that a model has to read: nothing is predicted from the last one. */
export const lengthOf = ({ promptIds, ids }: TokenSequence): number => promptIds.length + ids.length - 1;

/** The response tokens themselves, in the order in which they are read. */
export const responseTokens = (sequences: readonly TokenSequence[]): number[] =>
  sequences.flatMap(({ ids }) => Array.from(ids));

/** Splits a flat list of figures into one row for each response. */
export function perResponse(flat: ArrayLike<number>, sequences: readonly TokenSequence[]): Float64Array[] {
  let at = 0;
  return sequences.map(({ ids }) => Float64Array.from({ length: ids.length }, () => flat[at++] as number));
}

/** Responses as a loss reads them: ragged rows, and the `tokens` [M] that what is read of them predicts. */
export const responseSpecs = {
  ragged: raggedSpecs,
  tokens: { dtype: "int64", shape: ["M"] as Dim[] },
} as const;

/** The arrays of `responseSpecs`. */
export const responseArrays = (
  sequences: readonly TokenSequence[],
): { ragged: ReturnType<typeof raggedArrays>; tokens: HostArray<"int64"> } => {
  const tokens = responseTokens(sequences);
  return {
    ragged: raggedArrays(packResponses(sequences)),
    tokens: hostArray("int64", [tokens.length], tokens),
  };
};

/** Indices of sequences by their prompt, in the order of the first of each. */
function byPrompt(sequences: readonly TokenSequence[]): number[][] {
  const groups = new Map<string, number[]>();
  for (const [i, { promptIds }] of sequences.entries()) {
    const key = Array.prototype.join.call(promptIds);
    const group = groups.get(key);
    if (group) group.push(i);
    else groups.set(key, [i]);
  }
  return [...groups.values()];
}

/** Sequences in an order in which those to one prompt stand together, the longest first. */
export function likeLengths(sequences: readonly TokenSequence[]): number[] {
  const lengthAt = (i: number) => lengthOf(sequences[i] as TokenSequence);
  const groups = byPrompt(sequences).map((group) => ({ group, longest: Math.max(...group.map(lengthAt)) }));
  return groups.sort((a, b) => b.longest - a.longest).flatMap(({ group }) => group);
}

/** Sequences as ragged rows; the response tokens are read. */
export function packResponses(sequences: readonly TokenSequence[]): RaggedRows {
  const groups = byPrompt(sequences);
  const { packed, parts } = packGroups(
    groups.map((group) => runOf(group.map((i) => sequences[i] as TokenSequence))),
  );
  /** The first token that is read of each response. */
  const begins = new Int32Array(sequences.length);
  for (const [k, { row, columns }] of parts.entries())
    for (const [branch, column] of columns.entries())
      begins[groups[row]?.[column] as number] = packed.starts[k]?.branches[branch] as number;
  const reads = sequences.flatMap(({ ids }, i) =>
    Array.from({ length: ids.length }, (_, t) => (begins[i] as number) + t),
  );
  return raggedRows(packed, reads);
}

/** Responses to one prompt as a run. */
function runOf(members: readonly TokenSequence[]): Run {
  const prompt = Array.from((members[0] as TokenSequence).promptIds);
  return {
    prompt: prompt.slice(0, -1),
    branches: members.map(({ ids }) => [prompt.at(-1) as number, ...Array.from(ids).slice(0, -1)]),
  };
}

/**
 * Logits over the next token, [M, V], of hidden states [M, C], divided by the temperature of sampling: the division
 * stands at the narrow side of the product.
 */
export const temperedLogits = (
  config: ModelConfig,
  params: Tree<Tensor>,
  hidden: Tensor,
  inverseTemperature: Tensor,
): Tensor => logitsOf(config, params, mul(hidden, inverseTemperature));
