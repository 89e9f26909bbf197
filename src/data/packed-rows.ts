/**
 * Runs of tokens as ragged rows: see src/models/families/ragged.ts for what a model makes of them.
 *
 * A run is a beginning and the branches that follow it, which do not see each other: a prompt with its responses. Runs
 * fill the rows of attention's grid, first fit with the longest first; rows are as long as the longest run. Whoever
 * packs says which tokens are read, in an order of its own.
 */
import { type Dim, type HostArray, hostArray } from "../graph/index.ts";
import type { RaggedBatch } from "../models/families/ragged.ts";

type Ids = ArrayLike<number>;

export interface Run {
  /** What all branches follow; may be empty. */
  readonly prompt: Ids;
  readonly branches: readonly Ids[];
}

/** Tokens of a run. */
export const runSize = ({ prompt, branches }: Run): number =>
  branches.reduce((size, branch) => size + branch.length, prompt.length);

/** What a key costs a query, beside a token's projections; measured at widths of 128 to 256. */
const keyCost = 0.003;

/**
 * How many branches share a prompt: longer rows save prompts, and cost attention.
 *
 * @param prompt tokens of the prompt, and `branches` of each branch
 * @param longest tokens of the longest row there is in any case
 */
function sharedBy(prompt: number, branches: readonly number[], longest: number): number {
  const cost = (size: number) => {
    let total = 0;
    for (let from = 0; from < branches.length; from += size) {
      const tokens = branches.slice(from, from + size).reduce((a, b) => a + b, prompt);
      total += tokens * (1 + keyCost * Math.max(tokens, longest));
    }
    return total;
  };
  const sizes = branches.map((_, i) => i + 1);
  return sizes.reduce((best, size) => (cost(size) < cost(best) ? size : best), 1);
}

/** Branches of a group that share its prompt: run k of the packed ones. */
export interface GroupPart {
  /** Which group. */
  readonly row: number;
  /** Which of its branches. */
  readonly columns: readonly number[];
}

/** Groups of a prompt and its branches as runs: `always` all branches share the prompt, else as many as saves work. */
export function packGroups(
  groups: readonly Run[],
  { always = false } = {},
): {
  readonly packed: PackedRuns;
  readonly parts: readonly GroupPart[];
} {
  const alone = groups.flatMap(({ prompt, branches }) => branches.map((ids) => prompt.length + ids.length));
  const longest = Math.max(1, ...alone);
  const parts: GroupPart[] = [];
  const runs: Run[] = [];
  for (const [row, { prompt, branches }] of groups.entries()) {
    const lengths = branches.map((ids) => ids.length);
    const size = always ? branches.length : sharedBy(prompt.length, lengths, longest);
    for (let from = 0; from < branches.length; from += size) {
      const members = branches.slice(from, from + size);
      parts.push({ row, columns: members.map((_, i) => from + i) });
      runs.push({ prompt, branches: members });
    }
  }
  // Runs without a token make no batch of their own.
  const some = alone.some((size) => size > 0) ? [] : [{ prompt: [0], branches: [] }];
  return { packed: packRuns([...runs, ...some]), parts };
}

/** Places of runs in rows of `length`: indices of runs, row by row. */
export function firstFit(sizes: ArrayLike<number>, length: number): number[][] {
  const sizeOf = (run: number) => sizes[run] as number;
  const order = Array.from(sizes, (_, run) => run).sort((a, b) => sizeOf(b) - sizeOf(a) || a - b);
  const rows: { runs: number[]; room: number }[] = [];
  for (const run of order) {
    const row = rows.find(({ room }) => room >= sizeOf(run));
    if (row) {
      row.runs.push(run);
      row.room -= sizeOf(run);
    } else rows.push({ runs: [run], room: length - sizeOf(run) });
  }
  return rows.map(({ runs }) => runs);
}

/** N tokens in R rows of `length`, row after row. */
export interface PackedRuns {
  readonly rows: number;
  readonly length: number;
  readonly ids: Int32Array;
  /** From 0 in each run; branches go on from the prompt. */
  readonly positions: Int32Array;
  /** The last place in its row that sees a token. */
  readonly ends: Int32Array;
  /** Where a token stands, among the R T. */
  readonly places: Int32Array;
  /** From 1 in each row; which run of its row a token is of. */
  readonly segments: Int32Array;
  /** 0 in a prompt, 1, 2, ... in its branches. */
  readonly branches: Int32Array;
  /** Of each run the first token of its prompt and of each branch, among the N. */
  readonly starts: readonly { readonly prompt: number; readonly branches: readonly number[] }[];
}

export interface PackOptions {
  /** Of a row; by default that of the longest run. */
  readonly length?: number;
  /** Rows are as long as a multiple of this, so that fewer lengths occur. Default 1. */
  readonly multipleOf?: number;
}

/** Lays runs into rows. */
export function packRuns(runs: readonly Run[], { multipleOf = 1, ...options }: PackOptions = {}): PackedRuns {
  const sizes = runs.map(runSize);
  const longest = options.length ?? Math.max(...sizes);
  const length = Math.ceil(longest / multipleOf) * multipleOf;
  const rows = firstFit(sizes, length);
  const count = sizes.reduce((a, b) => a + b, 0);
  const lists = Array.from({ length: 6 }, () => new Int32Array(count)) as [
    ...[Int32Array, Int32Array, Int32Array],
    ...[Int32Array, Int32Array, Int32Array],
  ];
  const [ids, positions, ends, places, segments, branches] = lists;
  const starts: { prompt: number; branches: number[] }[] = new Array(runs.length);
  let at = 0;
  for (const [row, members] of rows.entries()) {
    let place = 0;
    for (const [k, index] of members.entries()) {
      const run = runs[index] as Run;
      const put = (tokens: Ids, from: number, branch: number, end: number): number => {
        const start = at;
        for (let i = 0; i < tokens.length; i++, at++, place++) {
          ids[at] = tokens[i] as number;
          positions[at] = from + i;
          ends[at] = end;
          places[at] = row * length + place;
          segments[at] = k + 1;
          branches[at] = branch;
        }
        return start;
      };
      const prompt = put(run.prompt, 0, 0, place + (sizes[index] as number) - 1);
      starts[index] = {
        prompt,
        branches: run.branches.map((tokens, b) =>
          put(tokens, run.prompt.length, b + 1, place + tokens.length - 1),
        ),
      };
    }
  }
  return { rows: rows.length, length, ids, positions, ends, places, segments, branches, starts };
}

/** The arrays of a ragged batch as plain numbers, with the sizes of its dimensions. */
export interface RaggedRows {
  readonly sizes: Readonly<Record<"N" | "R" | "T" | "M" | "Q", number>>;
  readonly lists: Readonly<Record<keyof RaggedBatch, Int32Array>>;
}

/** @param reads tokens that are read, among the N, each once */
export function raggedRows(packed: PackedRuns, reads: ArrayLike<number>): RaggedRows {
  const { rows, length, ids, positions, ends, places } = packed;
  const [n, m] = [ids.length, reads.length];
  const grid = new Int32Array(rows * length).fill(n);
  for (let token = 0; token < n; token++) grid[places[token] as number] = token;
  const readPlaces = new Int32Array(n).fill(m);
  const byRow: number[][] = Array.from({ length: rows }, () => []);
  for (let i = 0; i < m; i++) {
    const token = reads[i] as number;
    readPlaces[token] = i;
    byRow[Math.floor((places[token] as number) / length)]?.push(i);
  }
  const width = Math.max(1, ...byRow.map((row) => row.length));
  const queryGrid = new Int32Array(rows * width).fill(m);
  const queryPlaces = new Int32Array(m);
  for (const [r, row] of byRow.entries())
    for (const [q, i] of row.entries()) {
      queryGrid[r * width + q] = i;
      queryPlaces[i] = r * width + q;
    }
  return {
    sizes: { N: n, R: rows, T: length, M: m, Q: width },
    lists: {
      input_ids: ids,
      position_ids: positions,
      ends,
      grid,
      places,
      reads: Int32Array.from(reads),
      read_places: readPlaces,
      query_grid: queryGrid,
      query_places: queryPlaces,
    },
  };
}

type Size = "N" | "R" | "T" | "M" | "Q";

/** The dimensions of each array of a ragged batch. */
export const raggedShapes = {
  input_ids: ["N"],
  position_ids: ["N"],
  ends: ["N"],
  grid: ["R", "T"],
  places: ["N"],
  reads: ["M"],
  read_places: ["N"],
  query_grid: ["R", "Q"],
  query_places: ["M"],
} as const satisfies Record<keyof RaggedBatch, readonly Size[]>;

const names = Object.keys(raggedShapes) as (keyof RaggedBatch)[];

/** A ragged batch, as `compile` takes it. */
export const raggedSpecs = Object.fromEntries(
  names.map((name) => [name, { dtype: "int64", shape: [...raggedShapes[name]] as Dim[] }]),
) as Record<keyof RaggedBatch, { dtype: "int64"; shape: Dim[] }>;

/** The arrays of `raggedSpecs`. */
export const raggedArrays = ({ sizes, lists }: RaggedRows): Record<keyof RaggedBatch, HostArray<"int64">> =>
  Object.fromEntries(
    names.map((name) => [
      name,
      hostArray(
        "int64",
        raggedShapes[name].map((size) => sizes[size]),
        BigInt64Array.from(lists[name], BigInt),
      ),
    ]),
  ) as Record<keyof RaggedBatch, HostArray<"int64">>;
