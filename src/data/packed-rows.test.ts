import { expect, it } from "vitest";
import { uniform } from "../graph/random.ts";
import { firstFit, packRuns, raggedArrays, raggedRows, runSize } from "./packed-rows.ts";

const tree = {
  prompt: [10, 11],
  branches: [
    [20, 21],
    [30, 31, 32],
  ],
};
const line = { prompt: [40], branches: [[50], [60, 61]] };

it("rows hold runs, the longest first, and the prompt of a run once", () => {
  const { rows, length, ids, positions, ends, segments, branches } = packRuns([line, tree], { length: 11 });
  expect([rows, length]).toEqual([1, 11]);
  expect([...ids]).toEqual([10, 11, 20, 21, 30, 31, 32, 40, 50, 60, 61]);
  expect([...positions]).toEqual([0, 1, 2, 3, 2, 3, 4, 0, 1, 1, 2]);
  expect([...ends]).toEqual([6, 6, 3, 3, 6, 6, 6, 10, 8, 10, 10]);
  expect([...segments]).toEqual([1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2]);
  expect([...branches]).toEqual([0, 0, 1, 1, 2, 2, 2, 0, 1, 2, 2]);
});

it("starts say where each run and branch begins, in the order of the runs", () => {
  const { starts, ids } = packRuns([line, tree]);
  expect(starts.map(({ prompt, branches }) => [prompt, ...branches].map((at) => ids[at]))).toEqual([
    [40, 50, 60],
    [10, 20, 30],
  ]);
});

it("first fit loses no run and overfills no row", () => {
  const sizes = Array.from({ length: 200 }, (_, i) => 1 + Math.floor(40 * uniform(3, i)));
  const rows = firstFit(sizes, 64);
  expect(rows.flat().toSorted((a, b) => a - b)).toEqual(sizes.map((_, i) => i));
  const filled = rows.map((row) => row.reduce((n, run) => n + (sizes[run] as number), 0));
  expect(Math.max(...filled)).toBeLessThanOrEqual(64);
  expect(rows.length).toBeLessThanOrEqual(1 + (1.25 * sizes.reduce((a, b) => a + b, 0)) / 64);
});

it("grids and places say the same, from either side", () => {
  const packed = packRuns([tree, line, tree]);
  const { sizes, lists } = raggedRows(packed, [9, 2, 3]);
  expect(sizes).toEqual({ N: 2 * runSize(tree) + runSize(line), R: 3, T: 7, M: 3, Q: 2 });
  for (const [token, place] of lists.places.entries()) expect(lists.grid[place]).toBe(token);
  expect(lists.grid.filter((token) => token === sizes.N).length).toBe(sizes.R * sizes.T - sizes.N);
  for (const [i, place] of lists.query_places.entries()) expect(lists.query_grid[place]).toBe(i);
  for (const [i, token] of lists.reads.entries()) {
    expect(lists.read_places[token]).toBe(i);
    const row = Math.floor((lists.places[token] as number) / sizes.T);
    expect(Math.floor((lists.query_places[i] as number) / sizes.Q)).toBe(row);
  }
  expect(lists.read_places.filter((place) => place === sizes.M).length).toBe(sizes.N - sizes.M);
  expect(raggedArrays({ sizes, lists }).grid.shape).toEqual([3, 7]);
});
