/** Formats of well-known published data sets, under their own column names. */
import { z } from "zod";
import { DataError } from "../errors.ts";
import { filled, listOf, number, shown, string, wholeNumber } from "./columns.ts";
import { alpacaPrompt, asked, dialoguePrompt, questionPrompt, summaryPrompt } from "./exchange.ts";
import { type Format, format } from "./format.ts";
import { turn, turns, withSystem, wrappedTools } from "./sharegpt.ts";

const withTools = (list: object[] | undefined) => (list ? { tools: list } : {});

/** Two answers as a preference: above 0 the first is better, 0 is a tie. */
const compared = <T>([first, second]: readonly T[], difference: number) => ({
  ...(difference >= 0
    ? { chosen: first as T, rejected: second as T }
    : { chosen: second as T, rejected: first as T }),
  ...(difference === 0 && { tie: true }),
});

const postColumns = z.looseObject({
  post: string.nullish(),
  article: string.nullish(),
  title: string.nullish(),
  subreddit: string.nullish(),
});

/** The post as OpenAI's summaries were asked for (Stiennon et al. 2020), or a news article. */
function postPrompt({ post, article, title, subreddit }: z.infer<typeof postColumns>) {
  const text = post ?? article;
  if (!text) throw new DataError("info: a post or an article is required");
  const head = [subreddit && `SUBREDDIT: r/${subreddit}`, title && `TITLE: ${title}`].filter(Boolean);
  return summaryPrompt(head.length > 0 ? [...head, `POST: ${text.trim()}`].join("\n\n") : text);
}

const annotation = wholeNumber.optional();

/** Preferences: recognised before the general ones. */
export const publishedPreferences: readonly Format[] = [
  format({
    name: "sharegpt-preference",
    kind: "preference",
    schema: z.looseObject({
      conversations: turns,
      chosen: turn,
      rejected: turn,
      system: string.optional(),
      tools: wrappedTools,
    }),
    read: ({ conversations, chosen, rejected, system, tools }) => ({
      prompt: withSystem(system, conversations),
      chosen: [chosen],
      rejected: [rejected],
      ...withTools(tools),
    }),
  }),
  format({
    name: "alpaca-preference",
    kind: "preference",
    schema: z.looseObject({
      instruction: filled,
      chosen: filled,
      rejected: filled,
      input: string.optional(),
      system: string.optional(),
    }),
    read: ({ instruction, input, system, chosen, rejected }, { chat }) => {
      const { prompt, answers } = asked(
        chat,
        alpacaPrompt(instruction, input, system),
        [chosen, rejected],
        "",
      );
      return { prompt, ...compared(answers, 1) };
    },
  }),
  format({
    // 1 or 2: the better response, 0: a tie; the majority of the annotators decides (Wang et al. 2024).
    name: "pandalm",
    kind: "preference",
    schema: z.looseObject({
      instruction: filled,
      input: string.optional(),
      response1: filled,
      response2: filled,
      annotator1: wholeNumber,
      annotator2: annotation,
      annotator3: annotation,
    }),
    read: ({ instruction, input, response1, response2, ...row }, { chat }) => {
      const votes = [row.annotator1, row.annotator2, row.annotator3].filter((vote) => vote !== undefined);
      const count = (side: number) => votes.filter((vote) => vote === side).length;
      const { prompt, answers } = asked(chat, alpacaPrompt(instruction, input), [response1, response2], "");
      const winner = [1, 2].find((side) => 2 * count(side) > votes.length);
      return { prompt, ...compared(answers, winner === undefined ? 0 : winner === 1 ? 1 : -1) };
    },
  }),
  format({
    name: "summarize-from-feedback",
    kind: "preference",
    schema: z.looseObject({
      info: postColumns,
      summaries: listOf(z.looseObject({ text: filled }), "a list of two summaries"),
      choice: wholeNumber,
    }),
    read: ({ info, summaries, choice }, { chat }) => {
      if (summaries.length !== 2) throw new DataError(`summaries: two are required, got ${summaries.length}`);
      if (choice !== 0 && choice !== 1) throw new DataError(`choice: 0 or 1 is required, got ${choice}`);
      const texts = summaries.map(({ text }) => text);
      const { prompt, answers } = asked(chat, postPrompt(info), texts);
      return { prompt, ...compared(answers, choice === 0 ? 1 : -1) };
    },
  }),
  format({
    name: "summarize-from-feedback-axis",
    kind: "rating",
    schema: z.looseObject({
      info: postColumns,
      summary: z.looseObject({ text: filled, axes: z.looseObject({ overall: z.unknown() }) }),
    }),
    read: ({ info, summary: { text, axes } }, { chat }) => {
      const { prompt, answers } = asked(chat, postPrompt(info), [text]);
      if (typeof axes.overall !== "number")
        throw new DataError(`summary.axes.overall: a number is required, got ${shown(axes.overall)}`);
      return { prompt, completion: answers[0] as string, rating: axes.overall };
    },
  }),
  format({
    name: "webgpt-comparisons",
    kind: "preference",
    schema: z.looseObject({
      question: z.looseObject({ full_text: filled }),
      answer_0: filled,
      answer_1: filled,
      score_0: number,
      score_1: number,
    }),
    read: ({ question, answer_0, answer_1, score_0, score_1 }, { chat }) => {
      const { prompt, answers } = asked(chat, questionPrompt(question.full_text), [answer_0, answer_1]);
      return { prompt, ...compared(answers, score_0 - score_1) };
    },
  }),
  format({
    // Open Assistant's trees: the replies to the first message, ranked by people.
    name: "oasst-tree",
    kind: "ranking",
    schema: z.looseObject({
      prompt: z.looseObject({
        text: filled,
        replies: z.array(z.looseObject({ text: filled, rank: z.number().nullish() })),
      }),
    }),
    when: ({ prompt }) => Array.isArray(Object(prompt).replies),
    read: ({ prompt: { text, replies } }, { chat }) => {
      const ranked = replies.filter(({ rank }) => typeof rank === "number");
      if (ranked.length < 2)
        throw new DataError(`prompt.replies: two with a rank are required, got ${ranked.length}`);
      const { prompt, answers } = asked(
        chat,
        dialoguePrompt(text),
        ranked.map((reply) => reply.text),
      );
      return { prompt, completions: answers, ranks: ranked.map(({ rank }) => (rank as number) + 1) };
    },
  }),
];

/** Demonstrations. */
export const publishedTexts: readonly Format[] = [
  format({
    name: "sharegpt",
    kind: "messages",
    schema: z.looseObject({ conversations: turns, system: string.optional(), tools: wrappedTools }),
    read: ({ conversations, system, tools }) => ({
      messages: withSystem(system, conversations),
      ...withTools(tools),
    }),
  }),
  format({
    name: "alpaca",
    kind: "completion",
    schema: z.looseObject({
      instruction: filled,
      output: filled,
      input: string.optional(),
      system: string.optional(),
    }),
    read: ({ instruction, input, output, system }, { chat }) => {
      const { prompt, answers } = asked(chat, alpacaPrompt(instruction, input, system), [output], "");
      return { prompt, completion: answers[0] as string };
    },
  }),
  format({
    // The seed tasks of Self-Instruct: the first instance of each.
    name: "self-instruct",
    kind: "completion",
    schema: z.looseObject({
      instruction: filled,
      instances: listOf(z.looseObject({ input: string.optional(), output: filled }), "a list of instances"),
    }),
    read: ({ instruction, instances }, { chat }) => {
      const { input, output } = instances[0] as { input?: string; output: string };
      const { prompt, answers } = asked(chat, alpacaPrompt(instruction, input), [output], "");
      return { prompt, completion: answers[0] as string };
    },
  }),
  format({
    name: "question-answer",
    kind: "completion",
    schema: z.looseObject({ question: filled, answer: filled }),
    read: ({ question, answer }, { chat }) => {
      const { prompt, answers } = asked(chat, questionPrompt(question), [answer]);
      return { prompt, completion: answers[0] as string };
    },
  }),
  format({
    // SciTLDR: the sentences of an abstract, and summaries of it, of which the first is taken.
    name: "scitldr",
    kind: "completion",
    schema: z.looseObject({
      source: listOf(filled, "a list of sentences"),
      target: listOf(filled, "a list of summaries"),
    }),
    read: ({ source, target }, { chat }) => {
      const { prompt, answers } = asked(chat, summaryPrompt(source.join(" ")), target.slice(0, 1));
      return { prompt, completion: answers[0] as string };
    },
  }),
];
