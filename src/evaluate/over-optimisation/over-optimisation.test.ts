import { describe, expect, it } from "vitest";
import { permutation, uniform } from "../../graph/random.ts";
import { bestOfN, bestOfNWeights, klOfBestOfN, powersUpTo } from "./best-of-n.ts";
import { driftOf, duplicateShare } from "./drift.ts";
import { judgeByKl, scaleOf, widestGaps } from "./proxy-gold.ts";

describe("best-of-n", () => {
  const samples = {
    proxy: [0.3, -1, 2, 0.7, 1.4, 0.1],
    gold: [1, 2, 3, 4, 5, 6],
  };

  it("equals the mean over all subsets", () => {
    for (const n of [1, 2, 3, 6]) {
      let [gold, proxy, count] = [0, 0, 0];
      for (let subset = 0; subset < 2 ** 6; subset++) {
        const members = [0, 1, 2, 3, 4, 5].filter((i) => subset & (1 << i));
        if (members.length !== n) continue;
        const best = members.reduce((a, b) =>
          (samples.proxy[b] as number) > (samples.proxy[a] as number) ? b : a,
        );
        gold += samples.gold[best] as number;
        proxy += samples.proxy[best] as number;
        count++;
      }
      expect(bestOfN(samples, n).gold).toBeCloseTo(gold / count, 10);
      expect(bestOfN(samples, n).proxy).toBeCloseTo(proxy / count, 10);
    }
  });

  it("takes equally good samples equally often, in whatever order they stand", () => {
    const tied = { proxy: [1, 1, 0], gold: [10, 20, 30] };
    expect(bestOfN(tied, 3).gold).toBeCloseTo(15, 10);
    expect(bestOfN({ proxy: [0, 1, 1], gold: [30, 20, 10] }, 3).gold).toBeCloseTo(15, 10);
    expect(bestOfN({ proxy: [5, 5, 5], gold: [10, 20, 30] }, 2).gold).toBeCloseTo(20, 10);
  });

  it("weighs with numbers that add up to 1, for many samples too", () => {
    for (const [total, n] of [
      [4, 2],
      [1000, 700],
      [256, 256],
    ] as const)
      expect(bestOfNWeights(total, n).reduce((a, b) => a + b, 0)).toBeCloseTo(1, 9);
  });

  it("is log n - (n - 1) / n from the reference", () => {
    expect(klOfBestOfN(1)).toBe(0);
    expect(klOfBestOfN(4)).toBeCloseTo(Math.log(4) - 0.75, 12);
    // by its definition: KL of the distribution of the best of n over N equally likely, different responses
    const [total, n] = [20_000, 8];
    let kl = 0;
    for (let i = 1; i <= total; i++) {
      const p = (i / total) ** n - ((i - 1) / total) ** n;
      if (p > 0) kl += p * Math.log(p * total);
    }
    expect(kl).toBeCloseTo(klOfBestOfN(n), 3);
  });

  it("is refused for an n that there are no samples for", () => {
    expect(() => bestOfN(samples, 7)).toThrow("a whole n from 1 to the 6 samples is required, got 7");
    expect(powersUpTo(12)).toEqual([1, 2, 4, 8, 12]);
    expect(powersUpTo(8)).toEqual([1, 2, 4, 8]);
  });
});

describe("drift", () => {
  it("counts responses that different prompts share, not what one prompt gets twice", () => {
    const rows = [
      { prompt: "a", completion: "Yes." },
      { prompt: "a", completion: "Yes." },
      { prompt: "b", completion: " No." },
      { prompt: "c", completion: "No." },
    ];
    expect(duplicateShare(rows)).toBe(0.5);
    expect(duplicateShare([])).toBe(0);
  });

  it("has the figures of what was written", () => {
    const drift = driftOf([
      { prompt: "a", completion: "to be or not to be", tokens: 6, surprisal: 1, terminated: true },
      { prompt: "b", completion: "to be", tokens: 2, surprisal: 3, terminated: false },
    ]);
    expect(drift).toMatchObject({ length: 4, entropy: 2, duplicates: 0, terminated: 0.5, repetition: 0 });
    expect(drift.distinct_1).toBeCloseTo(4 / 8, 12);
    expect(driftOf([{ prompt: "a", completion: "x", tokens: 1 }])).not.toHaveProperty("entropy");
  });
});

describe("proxy and gold", () => {
  it("finds the responses that the proxy overrates, each in its own scale", () => {
    const proxy = [0, 100, 0, 100];
    const gold = [0, 1, 1, 0];
    const scales = { proxy: scaleOf(proxy), gold: scaleOf(gold) };
    const [first, ...rest] = widestGaps(proxy, gold, { scales });
    expect(first?.index).toBe(3);
    expect(first?.gap).toBeCloseTo(1 / scaleOf(gold).std, 12);
    expect(rest.at(-1)?.index).toBe(2);
    expect(widestGaps(proxy, gold, { scales, count: 1 })).toHaveLength(1);
  });

  it("judges pairs by bucket of KL: accuracy, ties of gold aside, and calibration", () => {
    const pairs = [
      { kl: 0.1, proxy: [2, 1], gold: [1, 0] },
      { kl: 0.2, proxy: [1, 2], gold: [1, 0] },
      { kl: 0.2, proxy: [1, 2], gold: [1, 1] },
      { kl: 3, proxy: [1, 1], gold: [0, 1] },
    ] as const;
    const [near, far, ...none] = judgeByKl(pairs, { scale: 2 });
    expect(near).toMatchObject({ low: 0, high: 0.5, pairs: 2, accuracy: 0.5 });
    expect(near?.calibration?.bins[0]?.predicted).toBeCloseTo(1 / (1 + Math.exp(-2)), 12);
    expect(far).toMatchObject({ low: 2, high: 4, pairs: 1, accuracy: 0.5 });
    expect(none).toEqual([]);
  });

  it("is calibrated where the gold reward follows the proxy's log-odds", () => {
    const order = permutation(4000, 3, 0);
    const pairs = [...order].map((k) => {
      const margin = 4 * uniform(5, k) - 2;
      const prefers = uniform(6, k) < 1 / (1 + Math.exp(-margin));
      return { kl: 0, proxy: [margin, 0] as const, gold: (prefers ? [1, 0] : [0, 1]) as [number, number] };
    });
    expect(judgeByKl(pairs, { scale: 1 })[0]?.calibration?.ece).toBeLessThan(0.03);
    expect(judgeByKl(pairs, { scale: 4 })[0]?.calibration?.ece).toBeGreaterThan(0.1);
  });
});
