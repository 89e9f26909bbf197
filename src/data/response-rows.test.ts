import { expect, it } from "vitest";
import { likeLengths, packResponses, responseTokens, type TokenSequence } from "./response-rows.ts";

const sequences: TokenSequence[] = [
  { promptIds: [1, 2, 3], ids: [4, 5] },
  { promptIds: [6], ids: [7, 8, 9] },
];

it("what is read of a response is what predicts its tokens: the prompt's last and all but its own last", () => {
  const { sizes, lists } = packResponses(sequences);
  expect(sizes).toEqual({ N: 7, R: 2, T: 4, M: 5, Q: 3 });
  expect(Array.from(lists.reads, (token) => lists.input_ids[token])).toEqual([3, 4, 6, 7, 8]);
  expect(responseTokens(sequences)).toEqual([4, 5, 7, 8, 9]);
});

it("responses share a long prompt, and not a short one, whose rows would cost more than they save", () => {
  const answers = (promptIds: number[]) =>
    Array.from({ length: 4 }, (_, i) => ({ promptIds, ids: Array.from({ length: 40 }, (_, t) => t + i) }));
  const long = packResponses(answers(Array.from({ length: 200 }, (_, t) => t)));
  expect(long.sizes.N).toBe(199 + 4 * 40);
  expect(packResponses(answers([1, 2])).sizes.N).toBe(4 * (1 + 40));
});

it("sequences to one prompt stand together, those of the longest first", () => {
  const mixed = [[1], [2], [1], [2]].map((promptIds, i) => ({
    promptIds,
    ids: [1, 2, 3].slice(0, 1 + (i % 2)),
  }));
  expect(likeLengths(mixed)).toEqual([1, 3, 0, 2]);
});
