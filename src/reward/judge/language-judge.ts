/**
 * A language model as a judge, asked in both orders, since models prefer what stands first or second (Zheng et al. 2023,
 * section 3.4).
 *
 * A model that answers in words is asked again when it names neither A nor B, at a temperature above 0 so that another
 * answer is possible; a pair that stays without an answer in one of the orders has no preference. Opposite answers in
 * the two orders are a tie:
 *
 *     P(first is better) = 1/2 [answer is A] + 1/2 [answer in the other order is B]
 *
 * A model whose probabilities are known is not asked again: P is the mean of P(A | A or B) over both orders.
 */
import {
  checkedJudge,
  type JudgePair,
  type JudgeReport,
  type OpenedJudge,
  type Preference,
} from "./judge.ts";
import { checkTemplate, defaultTemplate, letterOf, questionOf } from "./question.ts";

/** What is asked: a reply in words, or the probability of A among A and B. */
export type Asked =
  | { readonly reply: (question: string, options: ReplyOptions) => Promise<string> }
  | {
      readonly probabilities: (
        questions: readonly string[],
        signal?: AbortSignal,
      ) => Promise<readonly number[]>;
    };

export interface ReplyOptions {
  /** 0 for the first try, 1 for the next, ... */
  readonly attempt: number;
  readonly signal?: AbortSignal | undefined;
}

export interface LanguageJudgeOptions {
  /** With {prompt}, {first} and {second}. */
  readonly template?: string | undefined;
  /** How often a question is asked again whose answer is neither A nor B. Default 2. */
  readonly retries?: number | undefined;
  /** Questions that are open at the same time. Default 8. */
  readonly concurrency?: number | undefined;
}

/** Defaults, as the help texts print them. */
export const judgeDefaults = { retries: 2, concurrency: 8 } as const;

/** A judge from what is asked. */
export function languageJudge(
  name: string,
  asked: Asked,
  {
    template = defaultTemplate,
    retries = judgeDefaults.retries,
    concurrency = judgeDefaults.concurrency,
  }: LanguageJudgeOptions = {},
  dispose: () => Promise<void> = async () => {},
): OpenedJudge {
  checkTemplate(template);
  const counts = { pairs: 0, questions: 0, unclear: 0, repeated: 0, excluded: 0, inconsistent: 0 };
  const shown = { first: 0, all: 0 };

  /** 1 where what stands first is named. */
  async function answer(question: string, signal: AbortSignal | undefined): Promise<Preference> {
    if (!("reply" in asked)) return undefined;
    for (let attempt = 0; attempt <= retries; attempt++) {
      signal?.throwIfAborted();
      counts.questions++;
      if (attempt > 0) counts.repeated++;
      const letter = letterOf(await asked.reply(question, { attempt, signal }));
      if (letter) return letter === "A" ? 1 : 0;
      counts.unclear++;
    }
    return undefined;
  }

  async function answers(
    questions: readonly string[],
    signal: AbortSignal | undefined,
  ): Promise<Preference[]> {
    if ("reply" in asked) return pooled(questions, concurrency, (question) => answer(question, signal));
    counts.questions += questions.length;
    return [...(await asked.probabilities(questions, signal))];
  }

  const judge = checkedJudge(async (pairs: readonly JudgePair[], { signal } = {}) => {
    const questions = pairs.flatMap((pair) =>
      [false, true].map((swapped) => questionOf(template, pair, swapped)),
    );
    const found = await answers(questions, signal);
    return pairs.map((_, i) => {
      const [straight, swapped] = [found[2 * i], found[2 * i + 1]];
      counts.pairs++;
      for (const first of [straight, swapped]) {
        if (first === undefined) continue;
        shown.first += first;
        shown.all++;
      }
      if (straight === undefined || swapped === undefined) {
        counts.excluded++;
        return undefined;
      }
      if ((straight > 0.5 && swapped > 0.5) || (straight < 0.5 && swapped < 0.5)) counts.inconsistent++;
      return (straight + 1 - swapped) / 2;
    });
  }, name);
  return {
    name,
    judge,
    report: (): JudgeReport => ({
      ...counts,
      first_share: shown.all === 0 ? undefined : shown.first / shown.all,
    }),
    dispose,
  };
}

/** The work for each of a list, so many at a time, results in order; the first failure ends it. */
async function pooled<T, R>(list: readonly T[], size: number, work: (each: T) => Promise<R>): Promise<R[]> {
  const out = new Array<R>(list.length);
  let next = 0;
  const worker = async () => {
    while (next < list.length) {
      const at = next++;
      out[at] = await work(list[at] as T).catch((error: unknown) => {
        next = list.length; // the others begin nothing new
        throw error;
      });
    }
  };
  await Promise.all(Array.from({ length: Math.min(size, list.length) }, worker));
  return out;
}
