/** Token rows of any length as one batch; prompts and responses that are read apart as two. */
import { packRuns, raggedArrays, raggedRows } from "../data/packed-rows.ts";
import { type HostArray, hostArray } from "../graph/index.ts";

/** A prompt and the response to it, as ids; or both as one row, which will do where they are read as one. */
export type ResponseRow = ArrayLike<number> | ResponseParts;

export interface ResponseParts {
  readonly prompt: ArrayLike<number>;
  readonly response: ArrayLike<number>;
}

/** The ids of a row, prompt and response together. */
export const joinedIds = (row: ResponseRow): ArrayLike<number> =>
  "response" in row ? [...Array.from(row.prompt), ...Array.from(row.response)] : row;

/** The length of that. */
export const rowLength = (row: ResponseRow): number =>
  "response" in row ? row.prompt.length + row.response.length : row.length;

/** Rows as a batch, padded on the right with zeros, which nothing reads. */
export function paddedRows(rows: readonly ArrayLike<number>[]): Record<"input_ids" | "lengths", HostArray> {
  const length = Math.max(...rows.map((row) => row.length));
  const ids = new BigInt64Array(rows.length * length);
  for (const [r, row] of rows.entries())
    for (let t = 0; t < row.length; t++) ids[r * length + t] = BigInt(row[t] as number);
  return {
    input_ids: hostArray("int64", [rows.length, length], ids),
    lengths: hostArray(
      "int64",
      [rows.length],
      rows.map((row) => row.length),
    ),
  };
}

/** Rows as a ragged batch, of which the last tokens are read. */
export function raggedEnds(rows: readonly ArrayLike<number>[]) {
  const packed = packRuns(rows.map((row) => ({ prompt: [], branches: [row] })));
  const ends = packed.starts.map(
    ({ branches }, i) => (branches[0] as number) + (rows[i] as ArrayLike<number>).length - 1,
  );
  return raggedArrays(raggedRows(packed, ends));
}

/**
 * Prompts and responses apart: each different prompt once, padded, and of each response which prompt is its own.
 *
 * @returns the arrays of `towerSpec` (towers.ts)
 */
export function towerRows(rows: readonly ResponseParts[]) {
  const places = new Map<string, number>();
  const prompts: ArrayLike<number>[] = [];
  const of = rows.map(({ prompt }) => {
    const key = Array.from(prompt).join();
    const place = places.get(key) ?? prompts.push(prompt) - 1;
    places.set(key, place);
    return place;
  });
  return {
    prompt: paddedRows(prompts),
    response: paddedRows(rows.map(({ response }) => response)),
    prompt_of: hostArray("int64", [rows.length], of),
  };
}
