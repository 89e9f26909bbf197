/**
 * How far the gold reward has fallen from its best, and whether that is more than noise.
 *
 * The best of many snapshots is the largest of many noisy means, so the end lies below it even where nothing fell. All
 * snapshots are therefore held against the end at once (max-t, Romano and Wolf 2005):
 *
 *     D_s   = G_end - G_s        G_s: mean gold reward of snapshot s over seeds and prompts; the reference is step 0
 *     se_s  = sd of D*_s         over draws of seeds, and of prompts that are the same for all seeds and snapshots
 *     c     = 95 % quantile over the draws of max over s of |D*_s - D_s| / se_s
 *
 * and D_s -+ c se_s holds for every snapshot together, so also for the one that was chosen because it is the best. Of a
 * single seed the interval knows nothing of other seeds.
 */
import { mean, quantile, type Range, standardDeviation } from "../../evaluate/index.ts";
import { uniform } from "../../graph/random.ts";

/** The gold reward of each prompt, by the step of the snapshot; the last step is the end of the run. */
export type GoldCourse = ReadonlyMap<number, readonly number[]>;

export interface FallOptions {
  readonly seed?: number;
  /** Draws. Default: 1000. */
  readonly n?: number;
}

/**
 * The gold reward at the end less that at the step `best`, with its interval; undefined where the runs have fewer than
 * two prompts in common, or none of them has that step.
 *
 * @param runs one for each seed, on the same prompts
 */
export function fallSince(
  best: number,
  runs: readonly GoldCourse[],
  { seed = 0, n = 1000 }: FallOptions = {},
): Range | undefined {
  const filled = runs.filter(({ size }) => size > 0);
  const prompts = filled[0]?.values().next().value?.length ?? 0;
  const fits = filled.every((run) => [...run.values()].every(({ length }) => length === prompts));
  const steps = [...new Set(filled.flatMap((run) => [...run.keys()]))];
  if (prompts < 2 || !fits || !steps.includes(best)) return undefined;
  const whole = differences(filled, steps, new Float64Array(prompts).fill(1 / prompts));
  const drawn = Array.from({ length: n }, (_, sample) => {
    const weights = new Float64Array(prompts);
    for (let i = 0; i < prompts; i++) {
      const prompt = Math.floor(uniform(seed, sample, i) * prompts);
      weights[prompt] = (weights[prompt] as number) + 1 / prompts;
    }
    const seeds = filled.map(
      (_, i) => filled[Math.floor(uniform(seed, sample, i, 1) * filled.length)] as GoldCourse,
    );
    return differences(seeds, steps, weights);
  });
  // A step that none of the drawn seeds has says nothing in that draw.
  const errors = steps.map((_, s) =>
    standardDeviation(drawn.flatMap((row) => (Number.isNaN(row[s]) ? [] : [row[s] as number]))),
  );
  const widest = drawn.map((row) =>
    steps.reduce((most, _, s) => {
      const away = Math.abs((row[s] as number) - (whole[s] as number)) / (errors[s] as number);
      return away > most ? away : most;
    }, 0),
  );
  const c = quantile(Float64Array.from(widest).sort(), 0.95);
  const at = steps.indexOf(best);
  const [fall, half] = [whole[at] as number, c * (errors[at] as number)];
  return { mean: fall, low: fall - half, high: fall + half };
}

/** D_s of every step; NaN for one that none of the runs has. */
function differences(
  runs: readonly GoldCourse[],
  steps: readonly number[],
  weights: Float64Array,
): Float64Array {
  const weighed = (values: readonly number[]) =>
    values.reduce((sum, value, i) => sum + (weights[i] as number) * value, 0);
  const end = mean(runs.map((run) => weighed([...run.values()].at(-1) as readonly number[])));
  return Float64Array.from(steps, (step) => {
    const golds = runs.flatMap((run) => {
      const values = run.get(step);
      return values ? [weighed(values)] : [];
    });
    return end - mean(golds);
  });
}
