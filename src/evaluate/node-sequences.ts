/** Rows of data as prompts and responses in token ids, for measures along responses (Node). */

import { encodeExchange, encodePrompt } from "../data/exchange.ts";
import { cut, fitLength } from "../data/fit-length.ts";
import type { DataInput } from "../data/input.ts";
import type { RowList } from "../data/list.ts";
import { type LoadOptions, loadRows } from "../data/node-load.ts";
import { readsChat } from "../data/reads-chat.ts";
import type { TokenSequence } from "../data/response-rows.ts";
import type { RowOf, Text } from "../data/rows.ts";
import type { Model } from "../models/load.ts";
import { EvaluateError } from "./perplexity.ts";

type Kind = "text" | "prompt" | "completion" | "messages";

export interface SequenceOptions extends LoadOptions {
  /** Tokens of prompt and response together, at most; what is longer is cut: the prompt's start, the response's end. */
  readonly maxLength: number;
  /** Tokens that a prompt without a response leaves for one. */
  readonly maxNewTokens: number;
}

export interface Sequences {
  /** Of rows that have a response; empty `ids` where there is none. */
  readonly sequences: RowList<TokenSequence>;
  /** The rows have responses. */
  readonly haveResponses: boolean;
}

/**
 * Reads rows with prompt and completion, messages, text (whose first token is the prompt), or prompts alone.
 *
 * @throws DataError for rows that cannot be used, EvaluateError when some rows have responses and others have not
 */
export async function loadSequences(
  data: DataInput,
  { tokenizer, chatTemplate, name }: Pick<Model, "tokenizer" | "chatTemplate" | "name">,
  { maxLength, maxNewTokens, ...options }: SequenceOptions,
): Promise<Sequences> {
  if (!tokenizer)
    throw new EvaluateError(`${name}: a tokenizer is required to read text, the model has none`);
  const template = chatTemplate === undefined ? {} : { chatTemplate };
  const asked = (prompt: Text): TokenSequence => {
    const { ids } = encodePrompt(prompt, tokenizer, template);
    const room = Math.max(1, maxLength - maxNewTokens);
    return { promptIds: cut(ids, room, "keep_end", "prompt", { maxLength }), ids: [] };
  };
  const answered = (prompt: Text, response: Text): TokenSequence => {
    const read = encodeExchange(prompt, [response], tokenizer, template);
    const { prompt: promptIds, completions } = fitLength(read.prompt, read.completions, { maxLength });
    return { promptIds, ids: completions[0] as Int32Array };
  };
  const encoders: { readonly [K in Kind]: (row: RowOf<K>) => TokenSequence } = {
    prompt: ({ prompt }) => asked(prompt),
    completion: ({ prompt, completion }) => answered(prompt, completion),
    messages: ({ messages }) =>
      messages.at(-1)?.role === "assistant"
        ? answered(messages.slice(0, -1), messages.slice(-1))
        : asked(messages),
    text: ({ text }) => {
      const ids = tokenizer.encode(text).slice(0, maxLength);
      if (ids.length < 2) throw new EvaluateError("text: at least two tokens are required");
      return { promptIds: ids.slice(0, 1), ids: ids.slice(1) };
    },
  };
  const purpose = {
    name: "prompts and responses",
    kinds: ["completion", "messages", "prompt", "text"] as const,
    ignores: ["rating", "label"] as const,
  };
  let withResponse = 0;
  const { items } = await loadRows<Kind, TokenSequence>(
    data,
    purpose,
    () => ({
      each(row) {
        const sequence = encoders[row.kind](row as never);
        if (sequence.ids.length > 0) withResponse++;
        return [sequence];
      },
    }),
    { everyRow: true, ...options, chat: readsChat(tokenizer, template) },
  );
  if (withResponse !== 0 && withResponse !== items.length)
    throw new EvaluateError(
      `prompts with responses, or prompts alone, are required; ${withResponse} of ${items.length} rows have a response`,
    );
  return { sequences: items, haveResponses: withResponse > 0 };
}
