/**
 * What an on-policy method is: everything that differs from one to the next, and nothing else.
 *
 *     sample      `samples` responses to each prompt
 *     look        log-probabilities of the old policy; of the `reference`, values of a `critic`, where it asks for them
 *     experience  rewards, KL and values to an advantage for each token; weights; responses that teach nothing
 *     update      epochs of minibatches with one loss of update/policy-losses.ts
 *     metrics     what is told of the iteration
 *
 * `createOnPolicy` (on-policy.ts) does all of it with models, engine, optimisers, checks and checkpoints; `runOnPolicy`
 * (run/on-policy-run.ts) puts it into the loop of all methods (run/iterations.ts), with prompts, a reward and a run's
 * folder. A new method is an object of this type and a page that calls `runOnPolicy`: see ../reinforce.ts, ../rloo.ts, ../grpo.ts, ../ppo.ts.
 */
import type { TokenSequence } from "../../data/response-rows.ts";
import type { UpdateOptions } from "./update/program.ts";
import type { Experience, UpdateFigures } from "./update/updater.ts";

type Rows = readonly Float64Array[];

/** What was found of an iteration's responses; rows have an entry for each of their tokens. */
export interface Findings {
  readonly sequences: readonly TokenSequence[];
  readonly oldLogProbs: Rows;
  /** Where the method asks for a reference. */
  readonly refLogProbs?: Rows | undefined;
  /** KL to the reference, nats per token. */
  readonly kl?: Rows | undefined;
  /** Where the method has a critic. */
  readonly values?: Rows | undefined;
  /** A score for each response, less the penalty for a missing end. */
  readonly scores: readonly number[];
  readonly terminated: readonly boolean[];
  readonly klCoef: number;
  /** pi_old / mu of the sampled tokens, where mu is not pi_old. */
  readonly importance?: Rows | undefined;
}

/** What a method makes of its findings: losses of tokens, and figures for its metrics. */
export type Learned = Omit<Experience, "sequences" | "oldLogProbs" | "refLogProbs" | "klCoef"> & {
  readonly figures?: Readonly<Record<string, number>>;
};

/** An iteration that is done. */
export interface IterationFigures extends Omit<Findings, "sequences" | "oldLogProbs" | "kl"> {
  /** Nats per token of each response, where a reference was asked. */
  readonly kl?: readonly ArrayLike<number>[] | undefined;
  readonly logProbs: readonly ArrayLike<number>[];
  readonly updates: readonly UpdateFigures[];
  readonly figures: Readonly<Record<string, number>>;
}

export interface Algorithm {
  /** For messages. */
  readonly name: string;
  /** Responses to each prompt, which stand together. */
  readonly samples: number;
  /** Whether log-probabilities of the reference are needed. */
  readonly reference: boolean;
  /** Whether values are learned. */
  readonly critic: boolean;
  /** The loss and its settings. */
  readonly update: UpdateOptions;
  experience(found: Findings): Learned;
  metrics(figures: IterationFigures): Record<string, number>;
}
