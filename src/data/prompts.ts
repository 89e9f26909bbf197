/** Prompts as token ids, from any rows that have one: prompts alone, with completions, pairs, or conversations. */
import type { Tokenizer } from "../models/tokenizer/tokenizer.ts";
import { DataError } from "./errors.ts";
import { type ExchangeOptions, encodePrompt } from "./exchange.ts";
import { cut, type LengthOptions } from "./fit-length.ts";
import type { Purpose } from "./formats/index.ts";
import type { DataInput } from "./input.ts";
import type { RowList } from "./list.ts";
import { type LoadOptions, loadRows } from "./node-load.ts";
import { readsChat } from "./reads-chat.ts";
import type { Message, Row, RowKind, Source, Sourced, Text } from "./rows.ts";
import { without } from "./rows.ts";

export interface PromptExample {
  readonly ids: Int32Array;
  /** As the model sees it, cut as the ids are. */
  readonly text: string;
  /** Where the prompt is a conversation. */
  readonly messages?: readonly Message[];
  /** Every other column of the row: what a reward function may want to know. */
  readonly row: Readonly<Record<string, unknown>>;
  readonly source: Source;
}

export interface PromptOptions
  extends LoadOptions,
    Omit<ExchangeOptions, "tools" | "eosId">,
    Pick<LengthOptions, "promptTruncation"> {
  /** Tokens of a prompt, at most. */
  readonly maxPromptLength: number;
}

export interface PromptDataset {
  readonly prompts: RowList<PromptExample>;
  readonly rows: number;
  /** Rows that were left out: place and reason. */
  readonly skipped: readonly string[];
  /** Rows of each format. */
  readonly formats: Readonly<Record<string, number>>;
}

const kinds: readonly RowKind[] = [
  "prompt",
  "completion",
  "messages",
  "preference",
  "ranking",
  "rating",
  "label",
  "steps",
  "text",
];

export const promptPurpose: Purpose = { name: "prompts", kinds };

/**
 * Reads, checks and tokenises prompts.
 *
 * @throws DataError with file, line and reason of bad rows (unless they are skipped), and when no prompt is left
 */
export async function loadPrompts(
  data: DataInput,
  tokenizer: Tokenizer,
  options: PromptOptions,
): Promise<PromptDataset> {
  const chat = readsChat(tokenizer, options);
  const { items, ...counts } = await loadRows(
    data,
    promptPurpose,
    () => ({ each: (row) => [tokenizePrompt(row, tokenizer, options)] }),
    { ...options, chat },
  );
  return { prompts: items, ...counts };
}

/** @throws DataError with the reason when the row cannot be used */
export function tokenizePrompt(
  row: Sourced<Row>,
  tokenizer: Tokenizer,
  options: PromptOptions,
): PromptExample {
  const prompt = promptOf(row);
  const { ids, text } = encodePrompt(prompt, tokenizer, {
    ...options,
    ...(row.tools && { tools: row.tools }),
  });
  if (ids.length === 0)
    throw new DataError("the prompt is empty, and the tokenizer has no token that starts a text");
  const { maxPromptLength: maxLength, promptTruncation = "keep_end" } = options;
  const kept = cut(ids, maxLength, promptTruncation, "prompt", { maxLength });
  return {
    ids: kept,
    text: kept.length === ids.length ? text : tokenizer.decode([...kept], { skipSpecialTokens: true }),
    ...(typeof prompt !== "string" && { messages: prompt }),
    row: without(row.row, ["prompt", "messages", "conversations", "text"]),
    source: row.source,
  };
}

/** What is to be answered: a conversation loses the assistant's last turn. */
function promptOf(row: Row): Text {
  if (row.kind === "text") return row.text;
  if (row.kind !== "messages") return row.prompt;
  const { messages } = row;
  return messages.at(-1)?.role === "assistant" ? messages.slice(0, -1) : messages;
}
