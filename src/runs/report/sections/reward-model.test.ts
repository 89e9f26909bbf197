import { parseHTML } from "linkedom";
import { expect, it } from "vitest";
import type { RunData } from "../run-data.ts";
import { rewardModel } from "./reward-model.ts";

/** The places of the points of the reliability curve, and the frame's edges. */
function reliability(observed: readonly number[]) {
  const bins = observed.map((value, i) => ({
    low: 0.5 + i / 10,
    high: 0.6 + i / 10,
    predicted: 0.55 + i / 10,
    observed: value,
    count: 20,
  }));
  const figures = { accuracy: 0.48, pairs: 100, calibration: { ece: 0.2, bins } };
  const stage = { name: "reward", trainer: "reward", colour: 2, reward_model: figures };
  const page = rewardModel.render({ stages: [stage] } as unknown as RunData);
  const { document } = parseHTML(`<html><body>${page?.html}</body></html>`);
  const dots = [...document.querySelectorAll("figure svg [aria-label=dot] circle")];
  return dots.map((dot) => Number(dot.getAttribute("cy")));
}

it("points of a reliability curve lie within its frame, also where a model is right less often than by chance", () => {
  const [top, bottom] = [12, 260 - 34];
  for (const observed of [
    [0.53, 0.61, 0.73],
    [0.48, 0.31, 0.04],
    [0, 0.5, 1],
  ]) {
    const places = reliability(observed);
    expect(places).toHaveLength(3);
    for (const place of places) {
      expect(place).toBeGreaterThanOrEqual(top);
      expect(place).toBeLessThanOrEqual(bottom);
    }
    const steps = places.slice(1).map((place, i) => Math.sign(place - (places[i] as number)));
    expect(steps).toEqual(observed.slice(1).map((value, i) => -Math.sign(value - (observed[i] as number))));
  }
});
