/** Rows of data as what a reward reads: texts, prompts with completions, and conversations (Node). */
import type { DataInput } from "../data/input.ts";
import type { RowList } from "../data/list.ts";
import { type LoadOptions, loadRows } from "../data/node-load.ts";
import { readsChat } from "../data/reads-chat.ts";
import type { Message, RowOf, Sourced } from "../data/rows.ts";
import { without } from "../data/rows.ts";
import type { Tokenizer } from "../models/tokenizer/tokenizer.ts";
import type { RewardInput } from "./reward.ts";

type Kind = "text" | "completion" | "messages";

export interface InputOptions extends LoadOptions {
  /** Of the model that reads the rows: a `text` is then read as the tokenizer writes it, with nothing added. */
  readonly tokenizer?: Tokenizer | undefined;
}

/**
 * Reads rows with `text`, `prompt` and `completion`, or `messages`, in the order of the file. In a conversation the
 * last turn is what is scored.
 *
 * @throws DataError with file, line and reason of rows that cannot be used
 */
export async function loadRewardInputs(
  data: DataInput,
  options: InputOptions = {},
): Promise<RowList<RewardInput>> {
  const purpose = {
    name: "rows to score",
    kinds: ["text", "completion", "messages"] as const,
    ignores: ["rating", "label"] as const,
  };
  const { items } = await loadRows<Kind, RewardInput>(
    data,
    purpose,
    () => ({ each: (row) => [inputOf(row, options)] }),
    { everyRow: true, ...options, chat: options.tokenizer !== undefined && readsChat(options.tokenizer, {}) },
  );
  return items;
}

function inputOf(source: Sourced<RowOf<Kind>>, { tokenizer }: InputOptions): RewardInput {
  const row = without(source.row, source.columns);
  if (source.kind === "text")
    return {
      prompt: "",
      completion: source.text,
      ...(tokenizer && { promptIds: [], completionIds: tokenizer.encode(source.text) }),
      row,
    };
  if (source.kind === "messages") {
    const { messages } = source;
    return { ...conversation(messages.slice(0, -1)), completion: messages.at(-1)?.content ?? "", row };
  }
  const { prompt, completion } = source;
  if (typeof prompt === "string") return { prompt, completion: completion as string, row };
  return {
    ...conversation(prompt),
    completion: (completion as readonly Message[]).map(contentOf).join("\n"),
    row,
  };
}

const contentOf = ({ content }: Message): string => content;

/** For rewards that read text alone: the turns, a line each. */
const conversation = (messages: readonly Message[]): Pick<RewardInput, "prompt" | "messages"> => ({
  prompt: messages.map(({ role, content }) => `${role}: ${content}`).join("\n"),
  messages,
});
