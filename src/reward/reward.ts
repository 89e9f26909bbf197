/**
 * The one protocol of rewards: a batch of responses in, one finite number each out, more is better. A checkpoint, a
 * rule, a function of the user's, a server and a weighted sum are all this.
 */
import type { Message } from "../data/rows.ts";
import { AttuneError } from "../graph/errors.ts";

/** A reward that cannot be opened, or that does not answer as it must; names the reward and the row. */
export class RewardError extends AttuneError {
  override name = "RewardError";
}

/** A response, and what it answers. */
export interface RewardInput {
  /** As the model sees it; of a conversation the rendered text. */
  readonly prompt: string;
  /** Without special tokens. */
  readonly completion: string;
  readonly promptIds?: readonly number[];
  /** The sampled tokens, the one that ended the response included. */
  readonly completionIds?: readonly number[];
  /** The conversation before the response. */
  readonly messages?: readonly Message[];
  /** Ended by itself, not by the limit of tokens. */
  readonly terminated?: boolean;
  /** The other columns of the prompt's row: references, labels. */
  readonly row?: Readonly<Record<string, unknown>>;
}

/** Scores of a batch, in its order. */
export type Reward = (batch: readonly RewardInput[]) => readonly number[] | Promise<readonly number[]>;

/** A reward ready to be used, and what it holds on to. */
export interface OpenedReward {
  readonly name: string;
  /** Checked: it throws a RewardError instead of giving a wrong count or a number that is not finite. */
  readonly score: Reward;
  /** Of a weighted sum or an ensemble: the score, and that of each part before it was combined. */
  readonly parts?: (batch: readonly RewardInput[]) => Promise<RewardParts>;
  dispose(): Promise<void>;
}

export interface RewardParts {
  readonly scores: readonly number[];
  /** By the parts' names. */
  readonly parts: Readonly<Record<string, readonly number[]>>;
  /** Of an ensemble: the variance of its members' scores, for each response. */
  readonly disagreement?: readonly number[];
}

/** How far the members of an ensemble are apart on each response, as a standard deviation; of other rewards undefined. */
export const spreadOf = ({ disagreement }: Pick<RewardParts, "disagreement">): number[] | undefined =>
  disagreement?.map(Math.sqrt);

/**
 * The reward, held to the protocol.
 *
 * @throws RewardError when it throws, gives another number of scores than rows, or a score that is not finite
 */
export function checked(reward: Reward, name: string): Reward {
  return async (batch) => {
    if (batch.length === 0) return [];
    let scores: readonly number[];
    try {
      scores = await reward(batch);
    } catch (error) {
      if (error instanceof AttuneError || (error instanceof Error && error.name === "AbortError"))
        throw error;
      const message = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
      throw new RewardError(
        `reward ${name}: threw on a batch of ${batch.length} that begins with ${showInput(batch, 0)}: ${message}; correct the function`,
        { cause: error },
      );
    }
    checkScores(scores, batch, name);
    return Array.from(scores);
  };
}

/** @throws RewardError for a wrong count, or the first score that is not a finite number */
export function checkScores(scores: unknown, batch: readonly RewardInput[], name: string): void {
  if (!isList(scores))
    throw new RewardError(
      `reward ${name}: an array of ${batch.length} numbers is required, got ${describe(scores)}`,
    );
  if (scores.length !== batch.length)
    throw new RewardError(
      `reward ${name}: one score for each of ${batch.length} rows is required, got ${scores.length}`,
    );
  for (let row = 0; row < scores.length; row++)
    if (typeof scores[row] !== "number" || !Number.isFinite(scores[row]))
      throw new RewardError(
        `reward ${name}: a finite number is required, got ${describe(scores[row])} for ${showInput(batch, row)}`,
      );
}

const isList = (value: unknown): value is ArrayLike<unknown> =>
  Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView));

/** What came, in few words. */
function describe(value: unknown): string {
  if (value === null || typeof value === "number" || typeof value === "boolean") return String(value);
  if (typeof value === "string") return `the string ${shortened(value)}`;
  return value === undefined ? "nothing" : `a value of type ${typeof value}`;
}

const shownLength = 60;
/** A text for a message, quoted and cut. */
export const shortened = (text: string): string =>
  JSON.stringify(text.length > shownLength ? `${text.slice(0, shownLength)}…` : text);

/** A row for a message: its number, counted from 1, and how its completion begins. */
const showInput = (batch: readonly RewardInput[], row: number): string =>
  `row ${row + 1} (${shortened(batch[row]?.completion ?? "")})`;
