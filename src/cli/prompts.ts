/** Prompts from options and files, and their token ids. */
import { readFile } from "node:fs/promises";
import { DataError } from "../data/errors.ts";
import { encodePrompt as encode } from "../data/exchange.ts";
import { readRawRows } from "../data/node-files.ts";
import { showSource, type Text } from "../data/rows.ts";
import type { Model } from "../models/load.ts";
import { linesOf } from "./lines.ts";

export type Prompt = Text;

/** A prompt, and the columns of its row. */
export interface PromptRow {
  readonly prompt: Prompt;
  readonly row?: Readonly<Record<string, unknown>>;
}

/**
 * The prompts of a file: a line each, or rows of JSON with `prompt`, `messages` or `text`.
 *
 * @throws DataError with file and line
 */
export async function readPrompts(path: string): Promise<PromptRow[]> {
  if (!/\.(jsonl|ndjson|json)(\.gz)?$/i.test(path)) {
    const prompts = linesOf(await readFile(path, "utf8")).filter((line) => line.trim() !== "");
    if (prompts.length === 0)
      throw new DataError(`${path}: prompts are required, one a line; the file has none`);
    return prompts.map((prompt) => ({ prompt }));
  }
  const prompts: PromptRow[] = [];
  for await (const { value, source } of readRawRows(path)) {
    const row = Object(value) as Record<string, unknown>;
    const prompt = row.prompt ?? row.messages ?? row.text;
    const isChat =
      Array.isArray(prompt) && prompt.length > 0 && prompt.every((m) => typeof m?.content === "string");
    if (typeof prompt !== "string" && !isChat)
      throw new DataError(`${showSource(source)}: prompt, messages or text is required; correct the row`);
    prompts.push({ prompt: prompt as Prompt, row });
  }
  return prompts;
}

/** The ids that a model is to continue; none for a model without a tokenizer. */
export const encodePrompt = ({ tokenizer, chatTemplate }: Model, prompt: Prompt): number[] =>
  tokenizer ? encode(prompt, tokenizer, { ...(chatTemplate !== undefined && { chatTemplate }) }).ids : [];
