import { expect, it } from "vitest";
import { randomBits } from "../../graph/random.ts";
import { tinyModel } from "../../train/tiny.fixture.ts";
import { endingAfter, endingChance, evenModel, meanLength } from "./even.ts";
import { timesEvery, timingOf } from "./timing.ts";

it("steps, evaluations and checkpoints are told apart, and compiling counts once", () => {
  // Steps of 2 s; the first is over after 10 s; evaluations after the third step (compiled: 5 s) and the sixth (3 s).
  const ends = [10, 12, 19, 21, 23, 28];
  const timing = timingOf(
    { began: 0, steps: ends.map((at, i) => ({ step: i + 1, at })), ended: 28.5, evalEvery: 3 },
    { steps: 100, evaluations: 10, saves: 4 },
  );
  expect(timing).toEqual({
    setup: 8,
    step: 2,
    evaluation: 3,
    save: 0.5,
    seconds: 8 + 100 * 2 + 10 * 3 + 4 * 0.5,
  });
});

it("a stage that counts rows is timed a row, and one that is over after its first step by that", () => {
  const course = { steps: 640, evaluations: 0, saves: 0 };
  const rows = timingOf(
    {
      began: 0,
      steps: [
        { step: 64, at: 5 },
        { step: 128, at: 8 },
      ],
      ended: 8,
    },
    course,
  );
  expect(rows?.step).toBeCloseTo(3 / 64);
  expect(rows?.seconds).toBeCloseTo(5 + 3 * 9);
  const one = timingOf({ began: 1, steps: [{ step: 1, at: 3 }], ended: 3 }, { ...course, steps: 1 });
  expect(one).toMatchObject({ setup: 0, step: 2, seconds: 2 });
  expect(timingOf({ began: 0, steps: [], ended: 1 }, course)).toBeUndefined();
});

it("what comes every so many steps comes at the end too", () => {
  expect([timesEvery(100, 10), timesEvery(101, 10), timesEvery(3, 10)]).toEqual([10, 11, 1]);
});

it("the chance to end gives the mean length that is asked for, cut off or not", () => {
  for (const [mean, atMost] of [
    [5, 64],
    [20, 32],
    [31, 32],
    [12, 1000],
  ] as const) {
    const chance = endingChance(mean, atMost);
    expect(meanLength(chance, atMost)).toBeCloseTo(mean, 4);
    // The same by drawing.
    const drawn = Array.from({ length: 4000 }, (_, i) => {
      let length = 1;
      while (length < atMost && randomBits(i, length, atMost) / 2 ** 32 > chance) length++;
      return length;
    });
    const sampled = drawn.reduce((a, b) => a + b, 0) / drawn.length;
    expect(Math.abs(sampled - mean) / mean).toBeLessThan(0.06);
  }
});

it("a stand-in has the model's shapes, its own end among the tokens that end a response, and as many as needed", () => {
  const model = tinyModel();
  const even = endingAfter(evenModel(model), 10, 48);
  const shapes = (of: typeof model) =>
    Object.entries(of.parameters).map(([name, { shape }]) => [name, shape]);
  expect(shapes(even)).toEqual(shapes(model));
  const { eosTokenIds, vocabSize } = even.config;
  expect(eosTokenIds).toContain(model.config.eosTokenIds[0]);
  expect(eosTokenIds.length / vocabSize).toBeCloseTo(endingChance(10, 48), 2);
});
