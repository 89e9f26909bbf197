/** One question and its answers, written for a model that reads chat messages or for one that continues text. */
import type { Message, Text } from "../rows.ts";

export interface Asked {
  readonly system?: string | undefined;
  /** What the user says. */
  readonly user: string;
  /** The same for a model that continues text; the answer follows at once. */
  readonly text: string;
}

/** Prompt and answers, all as messages or all as strings; `space` stands before an answer in a string. */
export function asked(
  chat: boolean,
  { system, user, text }: Asked,
  answers: readonly string[],
  space = " ",
): { prompt: Text; answers: Text[] } {
  if (!chat) return { prompt: text, answers: answers.map((answer) => space + answer.trim()) };
  const before: Message[] = system ? [{ role: "system", content: system }] : [];
  return {
    prompt: [...before, { role: "user", content: user }],
    answers: answers.map((content) => [{ role: "assistant", content: content.trim() }]),
  };
}

/** The prompt of Stanford's Alpaca, or the instruction with its input as the user's words. */
export function alpacaPrompt(instruction: string, input = "", system?: string): Asked {
  const hasInput = input.trim() !== "";
  const about = hasInput ? ", paired with an input that provides further context" : "";
  return {
    system,
    user: hasInput ? `${instruction}\n\n${input}` : instruction,
    text:
      `Below is an instruction that describes a task${about}. Write a response that appropriately completes the request.` +
      `\n\n### Instruction:\n${instruction}${hasInput ? `\n\n### Input:\n${input}` : ""}\n\n### Response:\n`,
  };
}

/** A question as the first turn of a dialogue. */
export const dialoguePrompt = (question: string): Asked => ({
  user: question,
  text: `\n\nHuman: ${question}\n\nAssistant:`,
});

/** A question, and "Answer:". */
export const questionPrompt = (question: string): Asked => ({
  user: question,
  text: `Question: ${question}\nAnswer:`,
});

/** A text, and "TL;DR:". */
export const summaryPrompt = (text: string): Asked => {
  const prompt = `${text.trim()}\n\nTL;DR:`;
  return { user: prompt, text: prompt };
};
