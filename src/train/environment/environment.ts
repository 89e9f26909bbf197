/**
 * Environments of several turns, with the protocol of Gymnasium (Farama Foundation; Brockman et al. 2016): `reset` begins
 * an episode, `step` answers an action. An action is what the model says in its turn, an observation what it is told.
 */

export interface ResetOptions {
  /** Of everything that the environment draws: the same seed gives the same episode. */
  readonly seed: number;
}

/** The beginning of an episode. */
export interface Reset {
  /** What the model is told first. */
  readonly observation: string;
  readonly info?: Readonly<Record<string, unknown>>;
}

/** The answer to an action. */
export interface Step {
  /** What the model is told next; of no interest when the episode has ended. */
  readonly observation: string;
  readonly reward: number;
  /** The episode has come to its end. */
  readonly terminated: boolean;
  /** It was broken off, by a limit of the environment's own. */
  readonly truncated: boolean;
  readonly info?: Readonly<Record<string, unknown>>;
}

/** One episode at a time; many run beside each other, so it shares nothing with others. */
export interface Environment {
  reset(options: ResetOptions): Reset | Promise<Reset>;
  step(action: string): Step | Promise<Step>;
  close?(): void | Promise<void>;
}

/** A new environment, for one episode after another. */
export type MakeEnvironment = () => Environment | Promise<Environment>;
