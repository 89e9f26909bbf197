/** What a rule is: a score of one response that can be computed and explained without a model. */
import { z } from "zod";
import type { RewardInput } from "../reward.ts";

export interface Rule {
  /** What it rewards, in one line. */
  readonly description: string;
  /** From what to what its scores go. */
  readonly range: string;
  /** Strict; values may be of their type, as in YAML, or text, as on the command line. */
  readonly options: z.ZodObject;
  /** Rewards something that is easily had without being good: for the study of over-optimisation. */
  readonly flawed?: true;
  /** @param options as `options` has parsed them */
  score(input: RewardInput, options: Readonly<Record<string, unknown>>): number;
}

/** A rule whose `score` knows the types of its options. */
export const rule = <S extends z.ZodObject>(
  row: Omit<Rule, "options" | "score"> & {
    readonly options: S;
    score(input: RewardInput, options: z.infer<S>): number;
  },
): Rule => ({ ...row, score: (input, options) => row.score(input, options as z.infer<S>) });

/** A number, or its digits. */
export const number = () =>
  z.preprocess(
    (value) => (typeof value === "string" && value.trim() !== "" ? Number(value) : value),
    z.number("a number is required"),
  );

export const flag = () =>
  z.preprocess(
    (value) => (value === "true" || value === "false" ? value === "true" : value),
    z.boolean("true or false is required"),
  );

/** Phrases from a text with commas between them. */
export const listOf = (text: string): string[] =>
  text
    .split(",")
    .map((phrase) => phrase.trim())
    .filter((phrase) => phrase !== "");

/** Words or phrases: a list, or text with commas between them. */
export const phrases = () =>
  z.preprocess(
    (value) => (typeof value === "string" ? listOf(value) : value),
    z
      .array(z.string(), "words are required, as a list or with commas between them")
      .min(1, "at least one word is required"),
  );
