import { describe, expect, it } from "vitest";
import { changeText, highestOf, peakText } from "./highest.ts";

const two = (value: number) => value.toFixed(2);
const place = (mean: number, low = mean, high = mean) => ({ mean, low, high });
const measured = [0.5, 1, 2, 4];

describe("where a curve is highest", () => {
  it("is a distance with its interval among what was measured", () => {
    const found = highestOf(place(0.9, 0.6, 1.4), "rl", measured);
    expect(found).toEqual({ course: "turns", mean: 0.9, low: 0.6, high: 1.4 });
    expect(peakText(found, two)).toBe("0.90 (0.60 to 1.40)");
  });

  it("has no digits where the curve falls from the start or rises to the end", () => {
    // By the curve of RL a peak at 0.01 leaves nothing above the start beyond e * 0.01.
    expect(peakText(highestOf(place(0.01, 4.3e-11, Number.POSITIVE_INFINITY), "rl", measured), two)).toBe(
      "falls from the start",
    );
    expect(peakText(highestOf(place(0), "best-of-n", [0, ...measured]), two)).toBe("falls from the start");
    expect(peakText(highestOf(place(Number.POSITIVE_INFINITY), "rl", measured), two)).toBe(
      "rises to the end",
    );
    expect(peakText(highestOf(place(7), "rl", measured), two)).toBe("rises to the end");
  });

  it("keeps a peak before the first distance at which the curve is still above its start", () => {
    expect(highestOf(place(0.2), "rl", measured).course).toBe("turns");
    expect(highestOf(place(0.2), "best-of-n", measured).course).toBe("falls from the start");
    expect(highestOf(place(0.3), "best-of-n", measured).course).toBe("turns");
  });

  it("has an interval with the start or no end for what is outside of what was measured", () => {
    expect(peakText(highestOf(place(0.9, 1e-9, 40), "rl", measured), two)).toBe("0.90 (the start to no end)");
  });
});

it("a difference of peaks may have an end that is none", () => {
  expect(changeText(place(0.2, -0.1, Number.POSITIVE_INFINITY), two)).toBe("0.20 (-0.10 to no end)");
});
