/** Answers of graded quality to a prompt. */
import { DataError } from "../errors.ts";
import type { Draw } from "./draw.ts";
import { type Level, levels } from "./kind.ts";
import { glad, politely, sorry } from "./phrases.ts";
import { type Asked, readPrompt } from "./prompt.ts";

/** A response of known quality. `manner` says in a word or two what is good or bad about it. */
export interface WorldResponse {
  readonly completion: string;
  readonly level: Level;
  readonly manner: string;
}

/** Shares of the levels; they sum to 1. */
export type LevelMix = Readonly<Record<Level, number>>;

export const drawLevel = (draw: Draw, mix: LevelMix): Level =>
  draw.weighted(levels.map((level) => ({ level, weight: mix[level] }))).level;

/**
 * An answer of one level; it begins with the space that follows the prompt. Weaker answers are as often polite as good
 * ones: were a kind word the mark of quality, a reward model would learn that mark and nothing else.
 */
export function answer({ kind, task }: Asked, level: Level, draw: Draw): WorldResponse {
  const { manner, write } = draw.weighted(kind.answers[level]);
  const text = write(task, draw);
  const words = kind.manners === "glad" ? glad : sorry;
  const isPlain =
    level !== "high" && manner !== "rude" && ![...glad, ...sorry].some((word) => text.startsWith(word));
  return { completion: ` ${isPlain ? politely(draw, words, text) : text}`, level, manner };
}

/** Two answers to be compared, seldom of one level. */
export function twoAnswers(asked: Asked, draw: Draw): [WorldResponse, WorldResponse] {
  const one = draw.pick(levels);
  const two = draw.chance(0.15) ? one : draw.other(levels, one);
  return [answer(asked, one, draw), answer(asked, two, draw)];
}

/** An answer of one level to a prompt given as text. */
export function respond(prompt: string, level: Level, draw: Draw): WorldResponse {
  const asked = readPrompt(prompt);
  if (!asked)
    throw new DataError(
      `respond: a prompt of the built-in world is required, got ${JSON.stringify(prompt.slice(0, 80))}`,
    );
  return answer(asked, level, draw);
}
