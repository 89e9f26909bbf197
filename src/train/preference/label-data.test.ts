import { describe, expect, it } from "vitest";
import { bco } from "../bco.ts";
import { kto } from "../kto.ts";
import { tinyModel } from "../tiny.fixture.ts";
import { missingLabel, weightAdvice } from "./label-data.ts";

const labels = (...list: boolean[]) => list.map((label) => ({ label }));

describe.each([
  ["kto", kto],
  ["bco", bco],
])("%s on completions of one label", (name, train) => {
  it.each([
    [true, /all of the completions \(3\) are desirable, so nothing is compared .*whose label is false, or/],
    [false, /all of the completions \(3\) are undesirable, so nothing is compared .*whose label is true$/],
  ])("warns once that nothing is compared (%s)", async (label, message) => {
    const warnings: string[] = [];
    const data = ["The cat", "A dog", "The hen"].map((prompt) => ({ prompt, completion: " sleeps.", label }));
    await train(
      { model: tinyModel(), data, maxSteps: 1, threads: 1 },
      { onWarning: (text) => void warnings.push(text) },
    );
    expect(warnings.filter((text) => text.includes("nothing is compared"))).toEqual([
      expect.stringMatching(message),
    ]);
    expect(warnings.find((text) => text.includes("nothing is compared"))).toMatch(new RegExp(`^${name}: `));
  });
});

describe("what is said of labels", () => {
  it("is nothing of a missing one where both are there, and nothing of weights where one is missing", () => {
    expect(missingLabel("kto", labels(true, false))).toBeUndefined();
    expect(missingLabel("kto", [])).toBeUndefined();
    expect(weightAdvice(labels(true, true), { desirableWeight: 1, undesirableWeight: 1 })).toBeUndefined();
  });
});
