import { describe, expect, it } from "vitest";
import { compile, grad, type HostArray, hostArray, reshape, sub, sum, type Tensor } from "../graph/index.ts";
import { createEngine } from "../graph/node.ts";
import { describeOps, real } from "../graph/ops/check.fixture.ts";
import { together } from "../graph/ops/reference.fixture.ts";
import { type PairLossOptions, pairLoss, pairLosses, type Ties, type tieModels } from "./bradley-terry.ts";

const softplus = (x: number) => Math.log1p(Math.exp(x));
const share = 0.2;
const v = (2 * share) / (1 - share);
const theta = (1 + share) / (1 - share);

/** -log P of a win and of a tie, from strengths p = e^r as the papers write them. */
const papers: Record<keyof typeof tieModels, Record<"won" | "tied", (a: number, b: number) => number>> = {
  davidson: {
    won: (a, b) => {
      const [p, q] = [Math.exp(a), Math.exp(b)];
      return -Math.log(p / (p + q + v * Math.sqrt(p * q)));
    },
    tied: (a, b) => {
      const [p, q] = [Math.exp(a), Math.exp(b)];
      return -Math.log((v * Math.sqrt(p * q)) / (p + q + v * Math.sqrt(p * q)));
    },
  },
  rao_kupper: {
    won: (a, b) => -Math.log(Math.exp(a) / (Math.exp(a) + theta * Math.exp(b))),
    tied: (a, b) => {
      const [p, q] = [Math.exp(a), Math.exp(b)];
      return -Math.log(((theta ** 2 - 1) * p * q) / ((p + theta * q) * (q + theta * p)));
    },
  },
};

describeOps("losses on pairs", [
  {
    name: "Bradley-Terry",
    inputs: [real(["B"]), real(["B"])],
    fn: (chosen, rejected) => pairLosses({ chosen, rejected }),
    reference: together((a, b) => softplus(b - a)),
  },
  {
    name: "Bradley-Terry with margins",
    inputs: [real(["B"]), real(["B"]), real(["B"], 0, 2)],
    fn: (chosen, rejected, margin) => pairLosses({ chosen, rejected, margin }),
    reference: together((a, b, m) => softplus(m - (a - b))),
  },
  ...(Object.keys(papers) as (keyof typeof papers)[]).flatMap((ties) =>
    ([0, 1] as const).map((tied) => ({
      name: `${ties}, ${tied ? "a tie" : "a win"}`,
      inputs: [real(["B"]), real(["B"])],
      fn: (chosen: Tensor, rejected: Tensor) =>
        pairLosses({ chosen, rejected, tie: constantOf(chosen, tied) }, { ties, tieShare: share }),
      reference: together((a, b) => papers[ties][tied ? "tied" : "won"](a, b)),
    })),
  ),
  {
    name: "centred rewards",
    inputs: [real(["B"]), real(["B"])],
    fn: (chosen, rejected) => pairLoss({ chosen, rejected }, 2, { centerRewardsCoefficient: 0.3 }).loss,
    reference: (a, b) => {
      const rows = [...a.data].map((x, i) => [x, b.data[i] as number] as const);
      const each = rows.map(([x, y]) => softplus(y - x) + 0.3 * (x + y) ** 2);
      return { shape: [], data: Float64Array.of(each.reduce((p, q) => p + q, 0) / rows.length) };
    },
  },
]);

/** 0 or 1 for each pair. */
function constantOf(like: Tensor, value: number): Tensor {
  const zero = sub(like, like);
  return value === 0 ? zero : sub(zero, -value);
}

/** Losses of pairs with these rewards, and their derivative by the chosen one's. */
async function evaluated(
  rows: readonly (readonly [chosen: number, rejected: number, margin?: number, tie?: number])[],
  options: PairLossOptions = {},
) {
  const engine = await createEngine({ threads: 1 });
  const spec = { dtype: "float32" as const, shape: ["B"] };
  type Columns = Record<"chosen" | "rejected" | "margin" | "tie", Tensor>;
  const loss = (p: unknown) => {
    const { chosen, rejected, margin, tie } = p as Columns;
    return pairLosses({ chosen, rejected, margin, tie }, options);
  };
  const program = await engine.load(
    compile(
      (p) => {
        const { chosen, rejected, tie } = p as Columns;
        const { metrics } = pairLoss({ chosen, rejected, tie }, rows.length, options);
        return {
          loss: loss(p),
          slope: grad((q) => sum(reshape(loss(q), [-1])))(p).chosen as Tensor,
          metrics,
        };
      },
      [{ chosen: spec, rejected: spec, margin: spec, tie: spec }] as const,
    ),
  );
  const column = (i: number) =>
    hostArray(
      "float32",
      [rows.length],
      rows.map((row) => row[i] ?? 0),
    );
  const out = await engine.run(program, [
    { chosen: column(0), rejected: column(1), margin: column(2), tie: column(3) },
  ]);
  await engine.dispose();
  const numbers = (x: unknown) => [...((x as HostArray).data as Float32Array)];
  return {
    loss: numbers(out.loss),
    slope: numbers(out.slope),
    metrics: Object.fromEntries(
      Object.entries(out.metrics as Record<string, HostArray>).map(([name, x]) => [name, Number(x.data[0])]),
    ),
  };
}

describe("the Bradley-Terry loss", () => {
  it("is log 2 for equal rewards, and log(1 + e^-2) for a lead of 2", async () => {
    const { loss, slope } = await evaluated([
      [0.7, 0.7],
      [3, 1],
      [3, 1, 2],
    ]);
    expect(loss[0]).toBeCloseTo(Math.LN2, 6);
    expect(loss[1]).toBeCloseTo(0.126928, 6);
    expect(loss[2]).toBeCloseTo(Math.LN2, 6); // a margin of 2 is not yet passed
    expect(slope[0]).toBeCloseTo(-0.5, 6);
  });

  it("asks for a higher reward of the chosen response, never of the other", async () => {
    const { loss, slope } = await evaluated([
      [2, -1],
      [-1, 2],
      [0, 0],
    ]);
    expect(loss[0]).toBeLessThan(Math.LN2);
    expect(loss[1]).toBeGreaterThan(Math.LN2);
    for (const x of slope) expect(x).toBeLessThan(0);
  });

  it("does not change when all rewards are shifted, and does when they are scaled", async () => {
    const pairs = [
      [1.5, 0.25],
      [-0.5, 0.75],
    ] as const;
    const { loss } = await evaluated(pairs);
    const shifted = await evaluated(pairs.map(([a, b]) => [a + 8, b + 8] as const));
    const scaled = await evaluated(pairs.map(([a, b]) => [2 * a, 2 * b] as const));
    for (const i of [0, 1]) {
      expect(shifted.loss[i]).toBeCloseTo(loss[i] as number, 6);
      expect(Math.abs((scaled.loss[i] as number) - (loss[i] as number))).toBeGreaterThan(0.1);
    }
  });

  it.each(["drop", "davidson", "rao_kupper"] as const)(
    "stays finite, and so does its gradient, for leads of 1e4 (ties: %s)",
    async (ties: Ties) => {
      const { loss, slope } = await evaluated(
        [
          [1e4, 0],
          [0, 1e4],
          [1e4, 0, 0, 1],
          [0, 1e4, 0, 1],
        ],
        { ties },
      );
      for (const x of [...loss, ...slope]) expect(Number.isFinite(x)).toBe(true);
      expect(loss[0]).toBeCloseTo(0, 5);
      expect(loss[1]).toBeGreaterThan(0.9e4);
    },
  );
});

describe("ties", () => {
  it.each(["davidson", "rao_kupper"] as const)(
    "%s: win, loss and tie have probabilities that sum to 1",
    async (ties) => {
      for (const lead of [-2, 0, 0.5, 3]) {
        const { loss } = await evaluated(
          [
            [lead, 0],
            [0, lead],
            [lead, 0, 0, 1],
          ],
          { ties, tieShare: 0.25 },
        );
        expect(loss.reduce((sum, x) => sum + Math.exp(-x), 0)).toBeCloseTo(1, 5);
        if (lead === 0) expect(Math.exp(-(loss[2] as number))).toBeCloseTo(0.25, 5);
      }
    },
  );

  it("a tie pulls the rewards together, from both sides", async () => {
    for (const ties of ["davidson", "rao_kupper"] as const) {
      const { slope } = await evaluated(
        [
          [1, 0, 0, 1],
          [-1, 0, 0, 1],
          [0, 0, 0, 1],
        ],
        { ties },
      );
      expect(slope[0]).toBeGreaterThan(0);
      expect(slope[1]).toBeLessThan(0);
      expect(slope[2]).toBeCloseTo(0, 6);
    }
  });

  it("refuses a share outside of (0, 1)", async () => {
    await expect(evaluated([[0, 0]], { ties: "davidson", tieShare: 1 })).rejects.toThrow(/tie_share/);
  });
});

it("the metrics are TRL's: accuracy, margin, smallest, mean and largest reward; a tie counts half", async () => {
  const { metrics } = await evaluated([
    [2, 1],
    [0, 0.5],
    [4, 1, 0, 1],
    [1, 1],
  ]);
  expect(metrics).toEqual({
    accuracy: 0.375,
    margin: 0.125,
    min_reward: 0,
    mean_reward: 1.3125,
    max_reward: 4,
  });
});
