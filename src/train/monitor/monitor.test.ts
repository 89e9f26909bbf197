import { describe, expect, it } from "vitest";
import { gaussian } from "../../graph/random.ts";
import type { OpenedReward } from "../../reward/reward.ts";
import { alarmsAt, isPastPeak, type MonitorLine, predictedPeak, replay } from "./alarms.ts";
import { createMonitor } from "./monitor.ts";

const steps = 60;

/** A run whose proxy rises; `gold` and `length` are courses over the steps, with noise. */
function course(
  seed: number,
  { gold, length = () => 12 }: { gold: (d: number) => number; length?: (k: number) => number },
) {
  const noise = gaussian(new Float32Array(4 * steps), seed, 1);
  return Array.from({ length: steps }, (_, k): MonitorLine => {
    const d = 0.05 * (k + 1);
    const e = (i: number) => noise[4 * k + i] as number;
    return {
      step: k + 1,
      proxy: 0.03 * k + 0.05 * e(0),
      kl: d * d,
      gold: gold(d) + 0.05 * e(1),
      length: length(k) + 0.5 * e(2),
      repetition: 0.01 + 0.002 * Math.abs(e(3)),
      duplicates: 0.1,
    };
  });
}

const hacked = (seed: number) => course(seed, { gold: (d) => 0.2 + d * (0.3 - 0.5 * Math.log(d)) });
const honest = (seed: number) => course(seed, { gold: (d) => 0.2 + 0.1 * d });

describe("alarms", () => {
  it("say that gold falls while the proxy rises, and that the peak is behind", () => {
    const found = replay(hacked(1));
    expect(Object.keys(found)).toEqual(expect.arrayContaining(["gold", "peak"]));
    expect(alarmsAt(hacked(1)).map(({ name }) => name)).toEqual(["gold"]);
    const peak = Math.exp(0.3 / 0.5 - 1);
    expect(predictedPeak(hacked(1))?.peak?.mean).toBeCloseTo(peak, 0);
    expect(isPastPeak(hacked(1))?.text).toContain("past the predicted peak");
  });

  it("a gold reward that falls from the start is past its peak, which is where the run began", () => {
    const falling = course(4, { gold: (d) => 0.5 - 0.3 * d });
    expect(predictedPeak(falling)).not.toHaveProperty("peak");
    const highest = predictedPeak(falling)?.highest;
    expect(highest).toMatchObject({ mean: 0, low: 0 });
    expect(highest?.high).toBeLessThan(0.01);
    expect(isPastPeak(falling)?.text).toMatch(/past the predicted peak .*peak at 0.00 \(0.00 to 0.00\)/);
    expect(isPastPeak(honest(4))).toBeUndefined();
  });

  it("name the signal that grows", () => {
    const rambling = course(2, { gold: (d) => 0.2 + 0.1 * d, length: (k) => 12 + 0.3 * k });
    expect(alarmsAt(rambling).map(({ name }) => name)).toEqual(["length"]);
  });

  it("are seldom raised in runs without hacking", () => {
    const runs = Array.from({ length: 12 }, (_, seed) => replay(honest(seed)));
    expect(runs.filter((alarms) => Object.keys(alarms).length > 0).length).toBeLessThanOrEqual(2);
  });

  it("are silent while the proxy does not rise, and before there is something to compare", () => {
    const flat = hacked(3).map((line) => ({ ...line, proxy: 0 }));
    expect(alarmsAt(flat)).toEqual([]);
    expect(alarmsAt(hacked(3).slice(0, 15))).toEqual([]);
    expect(predictedPeak(hacked(3).slice(0, 10))).toBeUndefined();
  });
});

describe("the monitor", () => {
  const reward: OpenedReward = {
    name: "length",
    score: (batch) => batch.map(({ completion }) => completion.length),
    dispose: async () => {},
  };
  const batch = ["yes", "no", "yes"].map((completion, i) => ({
    prompt: `p${i}`,
    completion,
    completionIds: [1, 2],
  }));

  it("gives the reward's own scores, and sees what goes through it", async () => {
    const gold: OpenedReward = { ...reward, score: (rows) => rows.map(() => 0.5) };
    const monitor = createMonitor({ gold, everySteps: 2 });
    const watched = monitor.watch(reward);
    expect(await watched.score(batch)).toEqual([3, 2, 3]);
    const line = monitor.step(1, { "objective/kl": 0.25, "objective/entropy": 3 });
    expect(line).toMatchObject({ step: 1, proxy: 8 / 3, kl: 0.25, gold: 0.5, entropy: 3, length: 2 });
    expect(line?.duplicates).toBeCloseTo(2 / 3, 12);
    await watched.score(batch);
    expect(monitor.step(2, {})).not.toHaveProperty("gold");
    expect(monitor.step(3, {})).toBeUndefined();
    expect(monitor.lines).toHaveLength(2);
  });

  it("takes nats per token, as GRPO and RLOO log them, for what they are: 50 tokens at 0.1 are 5 a response", async () => {
    const monitor = createMonitor({ stopAtD: 2 });
    await monitor.watch(reward).score(batch);
    const line = monitor.step(1, { kl: 0.1, entropy: 0.2, "completions/mean_length": 50 });
    expect(line).toMatchObject({ kl: 5, entropy: 10 });
    expect(monitor.stop?.text).toBe("d = 2.24 is beyond 2");
  });

  it("members are apart where there are members: parts of a sum are none", async () => {
    const scores = [1, 2, 3];
    const parts = { length: [10, 20, 30], judge: [0, 1, 0] };
    const seenOf = async (more: object) => {
      const monitor = createMonitor();
      await monitor.watch({ ...reward, parts: async () => ({ scores, parts, ...more }) }).score(batch);
      return monitor.step(1, {});
    };
    expect(await seenOf({})).not.toHaveProperty("disagreement");
    expect((await seenOf({ disagreement: [4, 9, 1] }))?.disagreement).toBeCloseTo((2 + 3 + 1) / 3, 12);
  });

  it("ends a run at a distance that is given, and forgets what a resumed run does again", async () => {
    const monitor = createMonitor({ stopAtD: 1 });
    const watched = monitor.watch(reward);
    for (const [step, kl] of [0.5, 0.9, 1.2].entries()) {
      await watched.score(batch);
      monitor.step(step + 1, { "objective/kl": kl });
      expect(monitor.stop !== undefined).toBe(kl > 1);
    }
    monitor.goOnAfter(1);
    expect(monitor.lines.map(({ step }) => step)).toEqual([1]);
  });
});
