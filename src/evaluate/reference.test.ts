/** The measures beside NLTK, SciPy and scikit-learn: figures that test/parity/evaluate.py wrote. */
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  accuracyBySubset,
  bleu,
  bradleyTerry,
  calibration,
  distinctN,
  elo,
  kendall,
  lengthControlledWinRate,
  pearson,
  repetition,
  rewardAlignment,
  selfBleu,
  spearman,
  winRate,
} from "./index.ts";

const golden = JSON.parse(readFileSync("test/parity/golden/evaluate.json", "utf8"));
const few = { n: 40 };

describe("diversity", () => {
  const { texts, bleu: pairs, self_bleu, distinct, repetition: repeated } = golden.diversity;

  it("BLEU and self-BLEU are NLTK's", () => {
    for (const [i, j, value] of pairs) expect(bleu(texts[i], [texts[j]])).toBeCloseTo(value, 10);
    expect(selfBleu(texts)).toBeCloseTo(self_bleu, 10);
  });

  it("distinct-n and repetition are those of NLTK's n-grams", () => {
    expect([1, 2, 3].map((n) => distinctN(texts, n))).toEqual(
      distinct.map((x: number) => expect.closeTo(x, 12)),
    );
    expect(repetition(texts, 3)).toBeCloseTo(repeated, 12);
  });

  it("self-BLEU is the mean BLEU against all others, 1 of equal texts, and 0 of texts without a common word", () => {
    const words = fc.array(fc.constantFrom("a", "b", "c"), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(fc.array(words, { minLength: 2, maxLength: 6 }), (lists) => {
        const all = lists.map((list) => list.join(" "));
        const each = all.map((text, i) =>
          bleu(
            text,
            all.filter((_, j) => j !== i),
          ),
        );
        expect(selfBleu(all)).toBeCloseTo(each.reduce((sum, x) => sum + x, 0) / all.length, 10);
      }),
      { numRuns: 50 },
    );
    expect(selfBleu(["one two three four five", "one two three four five"])).toBeCloseTo(1, 12);
    expect([selfBleu(["a b", "c d"]), selfBleu(["alone"]), bleu("a", [])]).toEqual([0, 0, 0]);
  });
});

describe("correlation and alignment", () => {
  const { x, y, pearson: r, spearman: rho, kendall: tau } = golden.correlation;

  it("Pearson, Spearman and Kendall's tau-b are SciPy's, with ties", () => {
    expect(pearson(x, y)).toBeCloseTo(r, 12);
    expect(spearman(x, y)).toBeCloseTo(rho, 12);
    expect(kendall(x, y)).toBeCloseTo(tau, 12);
    expect(kendall([1, 1], [1, 2])).toBeNaN();
  });

  it("alignment tells what lies between prompts from what lies within them", () => {
    // The proxy knows which prompt is easy, and orders the responses to each the wrong way round.
    const prompts = ["easy", "easy", "hard", "hard"];
    const { spearman, agreement, pairs } = rewardAlignment([10, 9, 2, 1], [9, 10, 1, 2], { prompts, ...few });
    expect(spearman.mean).toBeCloseTo(0.6, 12);
    expect({ agreement, pairs }).toEqual({ agreement: 0, pairs: 2 });
    const found = rewardAlignment(x, y, few);
    expect(found.spearman.mean).toBeCloseTo(rho, 12);
    expect(found.spearman.low).toBeLessThan(rho);
    expect(found.spearman.high).toBeGreaterThan(rho);
    expect(() => rewardAlignment([1], [1, 2])).toThrow(/the same responses are required, got 1 and 2/);
  });

  it("pairs that gold cannot tell apart do not count, a proxy that cannot tells half", () => {
    const prompts = ["p", "p", "p"];
    expect(rewardAlignment([1, 1, 2], [0, 1, 1], { prompts, ...few })).toMatchObject({
      agreement: 0.75,
      pairs: 2,
    });
  });
});

describe("win rate at equal length", () => {
  const { a, b, lengths_a, lengths_b, plain, controlled, length_effect } = golden.win_rate;
  const lengths = { a: lengths_a, b: lengths_b };

  it("is AlpacaEval's formula fitted by scikit-learn", () => {
    const found = lengthControlledWinRate(a, b, lengths, few);
    expect(winRate(a, b, few).rate).toBeCloseTo(plain, 12);
    expect(found.rate).toBeCloseTo(controlled, 5);
    expect(found.lengthEffect).toBeCloseTo(length_effect, 4);
    expect(found.low).toBeLessThan(found.rate);
    expect(found.high).toBeGreaterThan(found.rate);
  });

  it("adds up to 1 with its mirror, and is the plain one at equal lengths", () => {
    const mirror = lengthControlledWinRate(b, a, { a: lengths_b, b: lengths_a }, few);
    expect(mirror.rate + lengthControlledWinRate(a, b, lengths, few).rate).toBeCloseTo(1, 8);
    const same = lengthControlledWinRate(a, b, { a: lengths_a, b: lengths_a }, few);
    expect(same.rate).toBeCloseTo(plain, 6);
    expect(() => lengthControlledWinRate([1], [2], { a: [1], b: [] })).toThrow(/got 1, 1, 1, 0/);
  });

  it("a model that wins only by being longer wins half at equal length", () => {
    const d = Array.from({ length: 200 }, (_, i) => i - 50);
    const wins = d.map(Math.sign);
    const found = lengthControlledWinRate(
      wins,
      d.map(() => 0),
      { a: d.map((x) => 100 + x), b: d.map(() => 100) },
      few,
    );
    expect(found.rate).toBeCloseTo(0.5, 1);
    expect(
      winRate(
        wins,
        d.map(() => 0),
        few,
      ).rate,
    ).toBeGreaterThan(0.7);
  });
});

describe("leaderboards", () => {
  const games = golden.leaderboard.games.map(([a, b, score]: [string, string, number]) => ({ a, b, score }));

  it("Bradley-Terry is scikit-learn's maximum likelihood, Elo its definition, game by game", () => {
    const ratings = bradleyTerry(games, few);
    for (const { player, rating, low, high } of ratings) {
      expect(rating).toBeCloseTo(golden.leaderboard.bradley_terry[player], 2);
      expect(low).toBeLessThan(rating);
      expect(high).toBeGreaterThan(rating);
    }
    expect(ratings.map(({ rating }) => rating)).toEqual(
      ratings.map(({ rating }) => rating).sort((p, q) => q - p),
    );
    for (const { player, rating } of elo(games))
      expect(rating).toBeCloseTo(golden.leaderboard.elo[player], 9);
  });

  it("two players: the log-odds of the share won, whatever the order of games and who is named first", () => {
    const won = [1, 1, 1, 0].map((score) => ({ a: "x", b: "y", score }));
    const [first, second] = bradleyTerry([...won].reverse(), few);
    expect(first).toMatchObject({ player: "x", games: 4, score: 0.75 });
    expect((first?.rating ?? 0) - (second?.rating ?? 0)).toBeCloseTo(400 * Math.log10(3), 2);
    const turned = won.map(({ score }) => ({ a: "y", b: "x", score: 1 - score }));
    expect(bradleyTerry(turned, few)[0]?.rating).toBeCloseTo(first?.rating as number, 6);
  });

  it("a player that lost no game is far out and finite; what is no game is refused", () => {
    const [best] = bradleyTerry([{ a: "x", b: "y", score: 1 }], few);
    expect(best?.rating).toBeGreaterThan(1500);
    expect(Number.isFinite(best?.high)).toBe(true);
    expect(() => bradleyTerry([])).toThrow(/games are required/);
    expect(() => elo([{ a: "x", b: "x", score: 1 }])).toThrow(/x twice/);
    expect(() => elo([{ a: "x", b: "y", score: 2 }])).toThrow(/from 0 to 1 is required, got 2/);
  });
});

it("the bins of calibration are scikit-learn's", () => {
  const { probabilities, outcomes, observed, predicted, ece } = golden.calibration;
  const found = calibration(probabilities, outcomes);
  expect(found.ece).toBeCloseTo(ece, 5);
  for (const [i, bin] of found.bins.entries()) {
    expect(bin.observed).toBeCloseTo(observed[i], 10);
    expect(bin.predicted).toBeCloseTo(predicted[i], 5);
  }
});

it("accuracy by subset is that of scikit-learn, and its mean counts each subset once", () => {
  const { margins, subsets, accuracy } = golden.subsets;
  const found = accuracyBySubset(margins, subsets, few);
  for (const [name, value] of Object.entries<number>(accuracy))
    expect(found.subsets[name]?.accuracy).toBeCloseTo(value, 12);
  const values = Object.values<number>(accuracy);
  expect(found.mean).toBeCloseTo(values.reduce((sum, x) => sum + x, 0) / values.length, 12);
  expect(found.overall.pairs).toBe(margins.length);
  expect(() => accuracyBySubset([1], [])).toThrow(/a subset for each of 1/);
});
