import { describe, expect, it } from "vitest";
import { mean } from "../../evaluate/index.ts";
import { gaussian } from "../../graph/random.ts";
import { fallSince, type GoldCourse } from "./fall.ts";

const prompts = 40;
const steps = Array.from({ length: 12 }, (_, i) => i);

/** Runs on the same prompts, whose gold reward is `trend` with noise of prompts and of answers. */
function runs(draw: number, trend: (step: number) => number, seeds = 3): GoldCourse[] {
  const noise = new Float32Array(prompts * (1 + seeds * steps.length));
  gaussian(noise, 11, draw, 1);
  return Array.from(
    { length: seeds },
    (_, seed) =>
      new Map(
        steps.map((step) => {
          const from = prompts * (1 + seed * steps.length + step);
          const golds = Array.from(
            { length: prompts },
            (_, p) => trend(step) + (noise[p] as number) + 0.3 * (noise[from + p] as number),
          );
          return [step, golds] as const;
        }),
      ),
  );
}

const golds = (all: readonly GoldCourse[], step: number) => mean(all.map((run) => mean(run.get(step) ?? [])));
const bestOf = (all: readonly GoldCourse[]) =>
  steps.reduce((best, step) => (golds(all, step) > golds(all, best) ? step : best));

describe("the fall of the gold reward from its best", () => {
  it("is the end less the best, and leaves 0 out where it is real", () => {
    const all = runs(0, (step) => -0.05 * Math.max(0, step - 3));
    const best = bestOf(all);
    const fall = fallSince(best, all, { n: 300 });
    expect(fall?.mean).toBeCloseTo(golds(all, 11) - golds(all, best), 10);
    expect(fall?.high).toBeLessThan(0);
    expect(fall?.low).toBeGreaterThan(-1);
  });

  it("holds 0 nearly always where nothing falls, though the best of twelve is above the end nearly always", () => {
    const draws = Array.from({ length: 40 }, (_, draw) => {
      const all = runs(1 + draw, () => 0, 1);
      return fallSince(bestOf(all), all, { n: 200 });
    });
    expect(draws.filter((fall) => (fall?.mean ?? 0) < 0).length).toBeGreaterThan(30);
    expect(draws.filter((fall) => (fall?.high ?? 0) < 0).length).toBeLessThan(6);
  });

  it("is not known of a single prompt, nor from a step that no run has", () => {
    const single: GoldCourse[] = [new Map([[1, [0.5]] as const, [2, [0.1]] as const])];
    expect(fallSince(1, single)).toBeUndefined();
    expect(
      fallSince(
        99,
        runs(0, () => 0),
      ),
    ).toBeUndefined();
    expect(fallSince(1, [])).toBeUndefined();
  });
});
