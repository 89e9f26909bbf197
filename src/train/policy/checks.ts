/** What an on-policy trainer refuses: input that does not fit, a start at which a ratio is not 1, updates that are not finite. */
import { TrainError } from "../errors.ts";
import type { RolloutPrompt } from "./rollouts.ts";
import type { UpdateFigures } from "./update/updater.ts";

/** What `step` needs of a response. */
export interface StepResponse {
  readonly ids: readonly number[];
  /** Of the policy that sampled, in nats a token; computed when they are left out. */
  readonly logProbs?: readonly number[] | undefined;
  readonly terminated: boolean;
}

export interface StepInput {
  readonly prompts: readonly Pick<RolloutPrompt, "ids">[];
  /** Those to one prompt stand together, in the order of the prompts. */
  readonly responses: readonly StepResponse[];
  /** A score for each response. */
  readonly rewards: readonly number[];
}

/** Log ratios at the start may differ from 0 by rounding alone. */
const startTolerance = 1e-3;

/** At the start of a run nothing has been learned yet, so the ratio is 1 and the KL 0, but for rounding. */
export function checkStart(difference: number, which: string, temperature: number): void {
  if (difference < startTolerance) return;
  throw new TrainError(
    `the log-probabilities ${which} differ by up to ${difference.toExponential(1)} nats before the first update, ` +
      `less than ${startTolerance} is required: were the responses sampled from this policy at temperature ${temperature}, ` +
      "without top-k, top-p or dropout?",
  );
}

/** What is said of a reference in 8 bits in the place of the check at the start, which it would not pass. */
export const int8Offset = (difference: number): string =>
  `a reference in 8 bits moves log-probabilities by up to ${difference.toFixed(3)} nats`;

/** @throws TrainError under LoRA without a reference of its own, whose reference is the base */
export function checkInt8Reference({
  int8Reference,
  lora,
  refModel,
}: {
  readonly int8Reference?: boolean | undefined;
  readonly lora?: object | undefined;
  readonly refModel?: object | undefined;
}): void {
  if (int8Reference && lora && !refModel)
    throw new TrainError(
      "int8_reference: under LoRA the reference is the base, which is there already; leave it out, or name a ref_model",
    );
}

/** max |a - b| over all tokens; NaN where one of them is. */
export function largestDifference(a: readonly Float64Array[], b: readonly Float64Array[]): number {
  let largest = 0;
  for (const [i, row] of a.entries())
    for (const [t, x] of row.entries()) {
      const difference = Math.abs(x - (b[i]?.[t] as number));
      if (!(difference <= largest)) largest = Number.isNaN(largest) ? largest : difference;
    }
  return largest;
}

/** @throws TrainError unless there are `rows` responses with tokens, `samples` to each prompt, and finite rewards */
export function checkInput({ prompts, responses, rewards }: StepInput, rows: number, samples = 1): void {
  const counts = [prompts.length * samples, responses.length, rewards.length];
  if (counts.some((n) => n !== rows))
    throw new TrainError(
      `step: ${rows} responses and rewards are required (batch_size * gradient_accumulation), to ${rows / samples} prompts; ` +
        `got ${responses.length}, ${rewards.length} and ${prompts.length}`,
    );
  const bad = rewards.findIndex((x) => !Number.isFinite(x));
  if (bad >= 0) throw new TrainError(`step: rewards must be finite, number ${bad} is ${rewards[bad]}`);
  for (const [i, { ids, logProbs }] of responses.entries())
    if (ids.length === 0 || (logProbs && logProbs.length !== ids.length))
      throw new TrainError(
        `step: a response needs tokens, and a log-probability for each where they are given; response ${i} has ${ids.length} and ${logProbs?.length}`,
      );
}

/** @throws TrainError with the first update whose figures are not finite */
export function checkFinite(updates: readonly UpdateFigures[], step: number): void {
  const bad = updates.findIndex((update) => !Object.values(update).every(Number.isFinite));
  if (bad >= 0)
    throw new TrainError(
      `step ${step}: update ${bad + 1} is not finite (${JSON.stringify(updates[bad])}), training stops; lower the learning rate`,
    );
}
