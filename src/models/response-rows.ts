/**
 * Responses behind their prompts as padded rows of tokens, and where each response token stands in them. Ragged rows, which
 * cost less, are made of the same sequences by src/data/response-rows.ts.
 *
 * Rows are padded on the right, so positions count from 0 and padding is never seen. What is computed for response
 * tokens is one flat list [N], row after row: a response of 3 tokens has 3 entries, and padding has none.
 */
import { type Dim, gather, type HostArray, hostArray, mul, type Tensor, type Tree } from "../graph/index.ts";
import type { ModelConfig } from "./config/config.ts";
import { hiddenStates, logitsOf } from "./model.ts";

/** A prompt and its response, as token ids. */
export interface TokenSequence {
  readonly promptIds: ArrayLike<number>;
  readonly ids: ArrayLike<number>;
}

/** Tokens that a model has to read: nothing is predicted from the last one. */
export const lengthOf = ({ promptIds, ids }: TokenSequence): number => promptIds.length + ids.length - 1;

/** [B, T] int64 without each row's last token, padded on the right with `padding`, which nothing reads. */
export function tokenRows(sequences: readonly TokenSequence[], padding = 0): HostArray<"int64"> {
  const length = Math.max(...sequences.map(lengthOf));
  const data = new BigInt64Array(sequences.length * length).fill(BigInt(padding));
  for (const [row, { promptIds, ids }] of sequences.entries()) {
    let at = row * length;
    for (let i = 0; i < promptIds.length; i++) data[at++] = BigInt(promptIds[i] as number);
    for (let i = 0; i < ids.length - 1; i++) data[at++] = BigInt(ids[i] as number);
  }
  return hostArray("int64", [sequences.length, length], data);
}

/**
 * Where the hidden states that choose the response tokens stand among [B T, C], for rows of `length` tokens: the one
 * of the prompt's last token chooses the first.
 */
export function choosingPlaces(sequences: readonly TokenSequence[], length: number): number[] {
  return sequences.flatMap(({ promptIds, ids }, row) =>
    Array.from({ length: ids.length }, (_, t) => row * length + promptIds.length - 1 + t),
  );
}

/** The response tokens themselves, in the same order. */
export const responseTokens = (sequences: readonly TokenSequence[]): number[] =>
  sequences.flatMap(({ ids }) => Array.from(ids));

/** Logits over the next token at chosen places, [N, V], divided by the temperature of sampling. */
export function chosenLogits(
  config: ModelConfig,
  params: Tree<Tensor>,
  hidden: Tensor,
  places: Tensor,
  inverseTemperature: Tensor,
): Tensor {
  return mul(logitsOf(config, params, gather(hidden, places)), inverseTemperature);
}

/** Hidden states [B T, C] of token rows [B, T]. */
export const hiddenOf = (config: ModelConfig, params: Tree<Tensor>, inputIds: Tensor): Tensor =>
  hiddenStates(config, params, { input_ids: inputIds });

/** Splits a flat list of figures into one row for each response. */
export function perResponse(flat: ArrayLike<number>, sequences: readonly TokenSequence[]): Float64Array[] {
  let at = 0;
  return sequences.map(({ ids }) => Float64Array.from({ length: ids.length }, () => flat[at++] as number));
}

/** Dimensions of a batch of rows: B rows of T tokens, N response tokens among them. */
export const rowSpecs = {
  input_ids: { dtype: "int64", shape: ["B", "T"] as Dim[] },
  places: { dtype: "int64", shape: ["N"] as Dim[] },
  tokens: { dtype: "int64", shape: ["N"] as Dim[] },
  inverse_temperature: { dtype: "float32", shape: [] as Dim[] },
} as const;
