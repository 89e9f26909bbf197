/**
 * From when the first steps of a stage were over to how long all of them take:
 *
 *     seconds = setup + steps * step + evaluations * evaluation + saves * save
 *
 * The first step is not like the others (graphs are compiled, caches grow), so it counts as setup as far as it took longer.
 */

/** Seconds on any clock. */
export interface Marks {
  readonly began: number;
  /** Steps that were over, and when. */
  readonly steps: readonly { readonly step: number; readonly at: number }[];
  /** When the stage gave back control: its checkpoint is written then. */
  readonly ended: number;
  /** After every how many steps there was an evaluation; none without held-out rows. */
  readonly evalEvery?: number | undefined;
}

export interface Course {
  readonly steps: number;
  readonly evaluations: number;
  readonly saves: number;
}

export interface Timing {
  readonly setup: number;
  readonly step: number;
  readonly evaluation: number;
  readonly save: number;
  readonly seconds: number;
}

/** Seconds of a stage, from the marks of its first steps. */
export function timingOf({ began, steps, ended, evalEvery }: Marks, course: Course): Timing | undefined {
  const [first] = steps;
  const last = steps.at(-1);
  if (!first || !last) return undefined;
  let [plain, plainSteps] = [0, 0];
  const evaluated: number[] = [];
  for (const [i, { step, at }] of steps.entries()) {
    const before = steps[i - 1];
    if (!before) continue;
    const seconds = at - before.at;
    if (evalEvery !== undefined && step % evalEvery === 0) evaluated.push(seconds);
    else [plain, plainSteps] = [plain + seconds, plainSteps + step - before.step];
  }
  const step = plainSteps > 0 ? plain / plainSteps : (first.at - began) / first.step;
  // The first evaluation compiles; where there is another, that one counts.
  const later = evaluated.length > 1 ? evaluated.slice(1) : evaluated;
  const evaluation = later.length > 0 ? Math.max(0, Math.min(...later) - step) : 0;
  const setup = Math.max(0, first.at - began - first.step * step);
  const save = Math.max(0, ended - last.at);
  const { evaluations, saves } = course;
  const seconds = setup + course.steps * step + evaluations * evaluation + saves * save;
  return { setup, step, evaluation, save, seconds };
}

/** How often something happens every so many steps, and once more at the end where that is between. */
export const timesEvery = (steps: number, every: number): number => Math.ceil(steps / every);
