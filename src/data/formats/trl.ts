/** Formats under TRL's column names, and those that differ by a column or two. */
import { z } from "zod";
import { DataError } from "../errors.ts";
import type { Message, Text } from "../rows.ts";
import {
  filled,
  filledText,
  label,
  listOf,
  messages,
  number,
  optionalLabel,
  optionalNumber,
  text,
  tools,
  wholeNumber,
} from "./columns.ts";
import { type Format, format } from "./format.ts";
import { alike, dialogueMessages, isDialogue, splitPrompt } from "./prompts.ts";

/** What may stand beside a preference. */
const beside = { margin: optionalNumber, tie: optionalLabel, tools };

/** Those of them that a row has. */
const given = (row: {
  margin?: number | undefined;
  tie?: boolean | undefined;
  tools?: object[] | undefined;
}) => ({
  ...(row.margin !== undefined && { margin: row.margin }),
  ...(row.tie && { tie: true }),
  ...(row.tools && { tools: row.tools }),
});

/** A prompt and one completion. */
const pairOf = (prompt: Text, completion: Text) => {
  const { prompt: before, responses } = alike(prompt, [completion]);
  return { prompt: before, completion: responses[0] };
};

/** A conversation as the prompt and the assistant's last turn. */
export function lastAnswer(conversation: readonly Message[]): { prompt: Text; completion: Text } {
  const last = conversation.at(-1);
  if (last?.role !== "assistant" || conversation.length < 2)
    throw new DataError(
      `the conversation must end with the assistant's turn, the last role is ${last?.role}`,
    );
  return { prompt: conversation.slice(0, -1), completion: conversation.slice(-1) };
}

/** Ranks of scores: more is better, equal scores share a rank. */
const ranksOf = (scores: readonly number[]): number[] =>
  scores.map((s) => scores.filter((t) => t > s).length);

const sameCount = (what: string, n: number, completions: readonly unknown[]) => {
  if (n !== completions.length)
    throw new DataError(
      `${what}: one for each of the ${completions.length} completions is required, got ${n}`,
    );
};

const completions = listOf(filledText, "a list of completions");

/** Several completions as all strings or all messages. */
const several = (prompt: Text, list: readonly Text[]) => {
  const { prompt: before, responses } = alike(prompt, list);
  return { prompt: before, completions: responses as Text[] };
};

export const trlFormats: readonly Format[] = [
  format({
    name: "stepwise",
    kind: "steps",
    schema: z.looseObject({
      prompt: text,
      completions: listOf(filled, "a list of steps"),
      labels: listOf(label, "a list of labels"),
    }),
    read: ({ prompt, completions, labels }) => {
      sameCount("labels", labels.length, completions);
      return { prompt, completions, labels };
    },
  }),
  format({
    name: "ranking",
    kind: "ranking",
    schema: z.looseObject({
      prompt: text,
      completions,
      ranks: listOf(number, "a list of ranks, 1 is best,"),
    }),
    read: ({ prompt, completions, ranks }) => {
      sameCount("ranks", ranks.length, completions);
      return { ...several(prompt, completions), ranks };
    },
  }),
  format({
    name: "ranking-order",
    kind: "ranking",
    schema: z.looseObject({
      prompt: text,
      completions,
      order: listOf(wholeNumber, "a list of the completions' numbers from 0, the best first,"),
    }),
    read: ({ prompt, completions, order }) => {
      sameCount("order", order.length, completions);
      if (new Set(order).size < order.length || order.some((i) => !(i in completions)))
        throw new DataError(
          `order: each number from 0 to ${completions.length - 1} is required once, got ${order}`,
        );
      return { ...several(prompt, completions), ranks: completions.map((_, i) => order.indexOf(i) + 1) };
    },
  }),
  format({
    name: "ranking-ratings",
    kind: "ranking",
    schema: z.looseObject({ prompt: text, completions, ratings: listOf(number, "a list of ratings") }),
    read: ({ prompt, completions, ratings }) => {
      sameCount("ratings", ratings.length, completions);
      return { ...several(prompt, completions), ranks: ranksOf(ratings) };
    },
  }),
  format({
    name: "preference",
    kind: "preference",
    schema: z.looseObject({
      prompt: text,
      chosen: filledText,
      rejected: filledText,
      ...beside,
    }),
    read: ({ prompt, chosen, rejected, ...row }) => {
      const { prompt: before, responses } = alike(prompt, [chosen, rejected]);
      return {
        prompt: before,
        chosen: responses[0],
        rejected: responses[1],
        ...given(row),
      };
    },
  }),
  format({
    name: "hh",
    kind: "preference",
    schema: z.looseObject({ chosen: filled, rejected: filled, ...beside }),
    when: ({ chosen, rejected }) => isDialogue(chosen) || isDialogue(rejected),
    read: ({ chosen, rejected, ...row }, { chat }) => {
      const split = splitPrompt(chosen, rejected) as Record<"prompt" | "chosen" | "rejected", string>;
      const turn = (content: string): Message[] => [{ role: "assistant", content: content.trim() }];
      return {
        ...(chat
          ? {
              prompt: dialogueMessages(split.prompt),
              chosen: turn(split.chosen),
              rejected: turn(split.rejected),
            }
          : split),
        ...given(row),
      };
    },
  }),
  format({
    name: "preference-implicit",
    kind: "preference",
    schema: z.looseObject({ chosen: filledText, rejected: filledText, ...beside }),
    when: ({ chosen }) =>
      typeof chosen === "string" || (Array.isArray(chosen) && "role" in Object(chosen[0])),
    read: ({ chosen, rejected, ...row }) => ({
      ...splitPrompt(chosen, rejected),
      ...given(row),
    }),
  }),
  format({
    name: "labelled-pair",
    kind: "preference",
    schema: z.looseObject({
      prompt: text,
      response_1: filledText,
      response_2: filledText,
      preference: number,
    }),
    read: ({ prompt, response_1, response_2, preference }) => {
      if (![0, 0.5, 1].includes(preference))
        throw new DataError(
          `preference: 1 (the first is better), 0 (the second) or 0.5 (a tie) is required, got ${preference}`,
        );
      const { prompt: before, responses } = alike(prompt, [response_1, response_2]);
      const [chosen, rejected] = preference === 0 ? [responses[1], responses[0]] : responses;
      return { prompt: before, chosen, rejected, ...(preference === 0.5 && { tie: true }) };
    },
  }),
  format({
    name: "rating",
    kind: "rating",
    schema: z.looseObject({ prompt: text, completion: filledText, rating: number }),
    read: ({ prompt, completion, rating }) => ({ ...pairOf(prompt, completion), rating }),
  }),
  format({
    name: "label",
    kind: "label",
    schema: z.looseObject({ prompt: text, completion: filledText, label }),
    when: (row) => label.safeParse(row.label).success,
    read: ({ prompt, completion, label }) => ({ ...pairOf(prompt, completion), label }),
  }),
  format({
    name: "label-messages",
    kind: "label",
    schema: z.looseObject({ messages, label, tools }),
    when: (row) => label.safeParse(row.label).success,
    read: ({ messages, label, ...row }) => ({ ...lastAnswer(messages), label, ...given(row) }),
  }),
  format({
    name: "prompt-completion",
    kind: "completion",
    schema: z.looseObject({ prompt: text, completion: filledText, tools }),
    read: ({ prompt, completion, ...row }) => ({ ...pairOf(prompt, completion), ...given(row) }),
  }),
  format({
    name: "messages",
    kind: "messages",
    schema: z.looseObject({ messages, tools }),
    read: ({ messages, ...row }) => ({ messages, ...given(row) }),
  }),
];

/** What is recognised last: a column that many formats have. */
export const bareFormats: readonly Format[] = [
  format({
    name: "prompt",
    kind: "prompt",
    schema: z.looseObject({ prompt: filledText, tools }),
    read: ({ prompt, ...row }) => ({ prompt, ...given(row) }),
  }),
  format({
    name: "text",
    kind: "text",
    schema: z.looseObject({ text: filled }),
    read: ({ text }) => ({ text }),
  }),
];
