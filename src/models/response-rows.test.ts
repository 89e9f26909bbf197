import { expect, it } from "vitest";
import { choosingPlaces, lengthOf, perResponse, responseTokens, tokenRows } from "./response-rows.ts";

const sequences = [
  { promptIds: [1, 2, 3], ids: [4, 5] },
  { promptIds: [6], ids: [7, 8, 9] },
];

it("rows are padded on the right, without the last token, from which nothing is predicted", () => {
  const { shape, data } = tokenRows(sequences);
  expect(shape).toEqual([2, 4]);
  expect(Array.from(data, Number)).toEqual([1, 2, 3, 4, 6, 7, 8, 0]);
  expect(sequences.map(lengthOf)).toEqual([4, 3]);
});

it("a response token is chosen by the state before it: the first one by the prompt's last, none by padding", () => {
  expect(choosingPlaces(sequences, 4)).toEqual([2, 3, 4, 5, 6]);
  expect(responseTokens(sequences)).toEqual([4, 5, 7, 8, 9]);
});

it("prompts and padding have no figures: a flat list is cut into the responses' own", () => {
  expect(perResponse([1, 2, 3, 4, 5], sequences).map((row) => [...row])).toEqual([
    [1, 2],
    [3, 4, 5],
  ]);
});
