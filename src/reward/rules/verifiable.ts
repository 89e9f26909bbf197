/**
 * Rules that check an answer against what the row says is right: rewards that cannot be argued with ("verifiable
 * rewards", Lambert et al. 2024; the rule-based rewards of DeepSeek-R1, 2025). 1 when it is right, else 0.
 */
import { z } from "zod";
import { RewardError, type RewardInput } from "../reward.ts";
import { number, type Rule, rule } from "./rule.ts";

/** Text that may be `true` or `false`, as on the command line. */
const flag = () =>
  z.preprocess(
    (value) => (value === "true" ? true : value === "false" ? false : value),
    z.boolean("true or false is required"),
  );

/** A regular expression, compiled. */
const expression = (source: string, flags: string, name: string): RegExp => {
  try {
    return new RegExp(source, flags);
  } catch (cause) {
    throw new RewardError(`rule ${name}: ${(cause as Error).message}`, { cause, wrongUsage: true });
  }
};

/** The value of a column; an error tells which columns there are. */
function columnOf({ row = {} }: RewardInput, column: string, name: string): unknown {
  const value = row[column];
  if (value === undefined || value === null || value === "")
    throw new RewardError(
      `rule ${name}: each row needs the column ${column}; there are ${Object.keys(row).join(", ") || "none"}; ` +
        "name another with column=",
    );
  return value;
}

/** What counts as the answer: what the pattern's first group (or the pattern) last finds, or the whole text. */
function answerIn(completion: string, pattern: RegExp | undefined): string | undefined {
  if (!pattern) return completion;
  const last = [...completion.matchAll(pattern)].at(-1);
  return last && (last[1] ?? last[0]);
}

/** A number in a text: digits, with commas between thousands, a point and an exponent. A minus after a digit or a letter subtracts. */
const numbers = /(?<![\p{L}\p{N}_.])[-−+]?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?(?:e[-+]?\d+)?|\.\d+/giu;

/** The last number in a text; undefined when there is none. `joinDigits` reads "7 5" as 75. */
export function lastNumber(text: string, joinDigits = false): number | undefined {
  const read = joinDigits ? text.replace(/(?<=\d) (?=\d)/g, "") : text;
  const found = read.match(numbers)?.at(-1);
  return found === undefined ? undefined : Number(found.replaceAll(",", "").replace("−", "-"));
}

/** Compiled once for each source, since a rule sees a response at a time. */
const compiled = new Map<string, RegExp>();
const patternOf = (source: string | undefined, flags: string, name: string): RegExp | undefined => {
  if (source === undefined) return undefined;
  const key = `${flags}/${source}`;
  const known = compiled.get(key) ?? expression(source, flags, name);
  compiled.set(key, known);
  return known;
};

export const verifiableRules = {
  exact_match: rule({
    description:
      "1 when the answer is the text in a column of the row, or one of the texts there; spaces at the ends and in a row do not count",
    range: "0 or 1",
    options: z.strictObject({
      column: z.string().min(1).default("answer"),
      ignore_case: flag().default(false),
      ignore_punctuation: flag().default(false),
      pattern: z.string().min(1).optional(),
    }),
    score(input, { column, ignore_case, ignore_punctuation, pattern }) {
      const wanted = columnOf(input, column, "exact_match");
      const plain = (text: string) => {
        const bare = ignore_punctuation ? text.replace(/\p{P}+/gu, " ") : text;
        const spaced = bare.normalize("NFC").replace(/\s+/gu, " ").trim();
        return ignore_case ? spaced.toLowerCase() : spaced;
      };
      const said = answerIn(
        input.completion,
        patternOf(pattern, ignore_case ? "gimu" : "gmu", "exact_match"),
      );
      if (said === undefined) return 0;
      const accepted = Array.isArray(wanted) ? wanted : [wanted];
      return accepted.some((one) => plain(`${one}`) === plain(said)) ? 1 : 0;
    },
  }),
  numeric_answer: rule({
    description:
      "1 when the last number of the response is that in a column of the row (a number, or the last one in its text), within a tolerance",
    range: "0 or 1",
    options: z.strictObject({
      column: z.string().min(1).default("answer"),
      tolerance: number().default(1e-6),
      pattern: z.string().min(1).optional(),
      join_digits: flag().default(false),
    }),
    score(input, { column, tolerance, pattern, join_digits }) {
      const value = columnOf(input, column, "numeric_answer");
      const wanted = typeof value === "number" ? value : lastNumber(`${value}`, join_digits);
      if (wanted === undefined || !Number.isFinite(wanted))
        throw new RewardError(
          `rule numeric_answer: the column ${column} needs a number, got ${JSON.stringify(value)}`,
        );
      const answer = answerIn(input.completion, patternOf(pattern, "gmu", "numeric_answer"));
      const said = answer === undefined ? undefined : lastNumber(answer, join_digits);
      return said !== undefined && Math.abs(said - wanted) <= tolerance ? 1 : 0;
    },
  }),
  regex: rule({
    description:
      "1 when a regular expression matches somewhere; it is given, or stands in a column of the row",
    range: "0 or 1",
    options: z.strictObject({
      pattern: z.string().min(1).optional(),
      column: z.string().min(1).default("pattern"),
      flags: z.string().default("u"),
    }),
    score(input, { pattern, column, flags }) {
      const source = pattern ?? `${columnOf(input, column, "regex")}`;
      // Without g and y, which would make a test remember where the last one ended.
      return (patternOf(source, flags.replace(/[gy]/g, ""), "regex") as RegExp).test(input.completion)
        ? 1
        : 0;
    },
  }),
} satisfies Record<string, Rule>;
