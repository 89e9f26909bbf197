/**
 * Which of two responses is better: what a pairwise judge says, or a reward whose scores are compared.
 *
 *     1: the first    0: the second    0.5: a tie    undefined: the judge gave no answer that counts
 */
import {
  checkedJudge,
  describeAnswers,
  type Judge,
  type JudgePair,
  type JudgeReport,
  type OpenedJudge,
  type Preference,
} from "../../reward/judge/judge.ts";
import { type JudgeSpec, openJudge } from "../../reward/judge/node-open-judge.ts";
import { TrainError } from "../errors.ts";
import { type IterationOptions, iterationDefaults, type Place } from "../policy/run/iterations.ts";
import type { Scored } from "./groups.ts";

export interface JudgedOptions extends Omit<IterationOptions, "reward"> {
  /** What scores responses. Or give a judge. */
  readonly reward?: IterationOptions["reward"] | undefined;
  /**
   * What compares two responses, in place of a reward: a function, an opened judge, or a judge by its name as
   * `attune label --judge` has it (a model's folder, http://host/v1#model).
   */
  readonly judge?: Judge | OpenedJudge | JudgeSpec | undefined;
  /** The pull towards the reference. */
  readonly beta?: number | undefined;
}

/** Defaults, as the help texts print them. */
export const judgedDefaults = {
  ...iterationDefaults,
  learningRate: 5e-7,
  beta: 0.1,
} as const satisfies Partial<JudgedOptions>;

/** @throws TrainError unless there is a reward or a judge, and not both */
export function checkJudged(name: string, { reward, judge }: { reward?: unknown; judge?: unknown }): void {
  if ((reward === undefined) === (judge === undefined))
    throw new TrainError(
      `${name}: a reward or a judge is required, got ${reward === undefined ? "neither" : "both"}`,
    );
}

/** What says which response is better, for an iteration. */
export interface Comparer {
  /** P(first is better) for each pair; of a reward sigmoid(r_first - r_second), which is Bradley-Terry's model. */
  preferences(first: Scored, second: Scored): Promise<readonly Preference[]>;
  /** What a judge did since this was asked last, under names of metrics; nothing of a reward. */
  figures(): Record<string, number>;
  /** In one sentence, pairs that had no answer that counts. */
  summary(): string | undefined;
  dispose(): Promise<void>;
}

/** The reward's scores, or the judge, opened where it is given by its name. */
export async function openComparer(
  judge: JudgedOptions["judge"],
  { engine, tokenizer, onWarning }: Pick<Place, "engine" | "tokenizer" | "onWarning">,
): Promise<Comparer> {
  if (judge === undefined)
    return {
      preferences: async (first, second) =>
        first.scores.map((score, i) => sigmoid(score - (second.scores[i] as number))),
      figures: () => ({}),
      summary: () => undefined,
      dispose: async () => {},
    };
  const isOpen = typeof judge === "object" && typeof judge.judge === "function";
  const opened: OpenedJudge =
    typeof judge === "function"
      ? asOpened(judge)
      : isOpen
        ? (judge as OpenedJudge)
        : await openJudge(judge as JudgeSpec, { engine, tokenizer, onWarning });
  let last = opened.report();
  return {
    async preferences(first, second) {
      const pairs = first.prompts.map(
        ({ text, messages, row }, i): JudgePair => ({
          prompt: text,
          first: first.responses[i]?.text ?? "",
          second: second.responses[i]?.text ?? "",
          ...(messages && { messages }),
          row,
        }),
      );
      return opened.judge(pairs);
    },
    figures() {
      const now = opened.report();
      const since = (name: "questions" | "unclear" | "inconsistent" | "excluded") => now[name] - last[name];
      const found = {
        "judge/excluded": since("excluded"),
        ...(now.questions > 0 && {
          "judge/questions": since("questions"),
          "judge/unclear": since("unclear"),
          "judge/inconsistent": since("inconsistent"),
          ...(now.first_share !== undefined && { "judge/first_share": now.first_share }),
        }),
      };
      last = now;
      return found;
    },
    summary() {
      const report = opened.report();
      const { pairs, questions, excluded, unclear } = report;
      if (excluded === 0 && unclear === 0) return undefined;
      const left = `${excluded} of ${pairs} pairs stayed without an answer that counts and were left out`;
      return `judge ${opened.name}: ${questions > 0 ? `${describeAnswers(report)}; ${left}` : left}`;
    },
    dispose: async () => (isOpen ? undefined : opened.dispose()),
  };
}

/** A function as an opened judge. */
function asOpened(judge: Judge): OpenedJudge {
  const counts = { pairs: 0, questions: 0, unclear: 0, repeated: 0, excluded: 0, inconsistent: 0 };
  const checked = checkedJudge(judge, "of the pairs");
  return {
    name: "function",
    async judge(pairs, options) {
      const found = await checked(pairs, options);
      counts.pairs += pairs.length;
      counts.excluded += found.filter((p) => p === undefined).length;
      return found;
    },
    report: (): JudgeReport => ({ ...counts, first_share: undefined }),
    dispose: async () => {},
  };
}

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
