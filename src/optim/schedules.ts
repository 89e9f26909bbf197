/**
 * Learning-rate schedules, as `transformers.get_scheduler` has them: a factor of the peak rate for each update.
 *
 * After `warmupSteps` updates that rise linearly from 0 the schedule's own shape runs to the last of `totalSteps`.
 * The first update is number 0, so that with a warm-up it has rate 0, as there.
 */

export interface ScheduleOptions {
  readonly totalSteps: number;
  readonly warmupSteps?: number;
  /** `cosine_with_restarts`: hard restarts. Default 1. */
  readonly numCycles?: number;
  /** `cosine_with_min_lr` and `polynomial`: the last rate as a share of the peak. Defaults 0 and 1e-7 / peak. */
  readonly minRatio?: number;
  /** `polynomial`: the exponent. Default 1. */
  readonly power?: number;
}

/** From 0 to 1 between warm-up and end: the factor there. `steps` counts updates since the warm-up. */
type Shape = (progress: number, steps: number, options: ScheduleOptions) => number;

const cosine = (x: number): number => 0.5 * (1 + Math.cos(Math.PI * x));

const shapes = {
  constant: () => 1,
  constant_with_warmup: () => 1,
  linear: (x) => Math.max(0, 1 - x),
  cosine: (x) => Math.max(0, cosine(x)),
  cosine_with_restarts: (x, _, { numCycles = 1 }) => (x >= 1 ? 0 : Math.max(0, cosine((x * numCycles) % 1))),
  cosine_with_min_lr: (x, _, { minRatio = 0 }) => Math.max(0, cosine(x) * (1 - minRatio) + minRatio),
  polynomial: (x, _, { minRatio = 1e-7, power = 1 }) =>
    x > 1 ? minRatio : (1 - minRatio) * (1 - x) ** power + minRatio,
  inverse_sqrt: (_, steps, { warmupSteps }) => {
    const timescale = warmupSteps || 10_000;
    return 1 / Math.sqrt((steps + timescale) / timescale);
  },
} satisfies Record<string, Shape>;

export type ScheduleName = keyof typeof shapes;
export const scheduleNames = Object.keys(shapes) as readonly ScheduleName[];

/** The learning rate of update `step` (0, 1, ...) for a peak rate. "constant" has no warm-up. */
export function schedule(
  name: ScheduleName,
  peak: number,
  options: ScheduleOptions,
): (step: number) => number {
  const shape: Shape = shapes[name];
  const { totalSteps, warmupSteps = 0 } = options;
  return (step) => {
    if (name !== "constant" && step < warmupSteps) return (peak * step) / Math.max(1, warmupSteps);
    const steps = step - warmupSteps;
    return peak * shape(steps / Math.max(1, totalSteps - warmupSteps), steps, options);
  };
}
