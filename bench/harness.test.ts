import { describe, expect, it } from "vitest";
import { countedParameters, trainCases, trainFlops } from "./cases.ts";
import { comparisonOf, interleave, median, reached, rowOf, table } from "./harness.ts";

const from = { command: "npm run bench", machine: "here" };
const figure = {
  bench: "train-step",
  case: "tiny",
  metric: "speed",
  unit: "GFLOP/s",
  better: "higher",
} as const;

describe("interleave", () => {
  it("drops a warm-up round and turns the order round each time", async () => {
    const calls: string[] = [];
    const contestant = (label: string) => ({ label, run: async () => calls.push(label) });
    const figures = await interleave([contestant("a"), contestant("b")], 2);
    expect(calls.join("")).toBe("baabba");
    expect(figures).toEqual([
      [3, 6],
      [4, 5],
    ]);
  });
});

describe("rows", () => {
  it("hold the mean where a figure is one of seeds", () => {
    expect(rowOf({ ...figure, mean: true }, [1, 2, 6], from)).toMatchObject({ value: 3, spread: [1, 6] });
  });

  it("hold the median and the spread", () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 2, 3])).toBe(2.5);
    expect(rowOf(figure, [3, 1, 2], from)).toMatchObject({ value: 2, spread: [1, 3], ...from });
  });

  it("have a ratio above 1 when we are ahead, whichever way is better", () => {
    expect(comparisonOf(figure, [20], "torch", [10], from).ratio).toBe(2);
    expect(comparisonOf({ ...figure, better: "lower" }, [10], "torch", [20], from).ratio).toBe(2);
  });

  it("hold the target against the ratio where there is one, else against the value", () => {
    const beside = comparisonOf({ ...figure, target: 1.5 }, [12], "torch", [10], from);
    expect(reached(beside)).toBe(false);
    expect(reached(rowOf({ ...figure, target: 1.5 }, [12], from))).toBe(true);
    expect(reached(rowOf({ ...figure, better: "lower", target: 1.5 }, [12], from))).toBe(false);
    expect(reached(rowOf(figure, [12], from))).toBeUndefined();
    expect(table([beside])).toContain("! missed");
  });

  it("of a peer alone carry its name and no target", () => {
    const row = rowOf({ ...figure, target: 2 }, [10], from, "torch");
    expect(row.contestant).toBe("torch");
    expect(row).not.toHaveProperty("target");
  });
});

describe("trainFlops", () => {
  it("counts the 124 million parameters of GPT-2 once, without the position table", () => {
    const gpt2 = trainCases[0] as (typeof trainCases)[number];
    expect(countedParameters(gpt2.model)).toBe(124_439_808 - 1024 * 768);
    expect(trainFlops(gpt2) / 1e9).toBeCloseTo(788.7, 0);
  });
});
