/** Token rows of any length as one batch. */
import { packRuns, raggedArrays, raggedRows } from "../data/packed-rows.ts";
import { type HostArray, hostArray } from "../graph/index.ts";

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
