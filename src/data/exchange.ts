/**
 * A prompt and its responses as token ids, split where generation would begin: what the model is given, and what it
 * would have drawn, up to and with the end of text or of the turn.
 */
import { encodeChat } from "../models/chat/chat-tokens.ts";
import type { Tokenizer } from "../models/tokenizer/tokenizer.ts";
import { DataError } from "./errors.ts";
import type { Message, Text } from "./rows.ts";
import { encodePair, withEndOfTurn, withEos, withoutEos } from "./tokenize.ts";

export interface ExchangeOptions {
  /** Chat template for rows of messages: Jinja source, or the name of one of Attune's. Default: the tokenizer's. */
  readonly chatTemplate?: string;
  /** Id of the end-of-text token. Default: the tokenizer's. */
  readonly eosId?: number;
  /** JSON schemas of functions that the model may call. */
  readonly tools?: readonly object[];
}

export interface Exchange {
  readonly prompt: number[];
  /** One for each response. */
  readonly completions: number[][];
  /** As the model sees them. */
  readonly texts: { readonly prompt: string; readonly completions: string[] };
}

const templateOptions = ({ chatTemplate, tools }: ExchangeOptions) => ({
  ...(chatTemplate !== undefined && { template: chatTemplate }),
  ...(tools && { tools }),
});

/** The ids that a model is to continue; an empty text begins with the token that starts a text. */
export function encodePrompt(
  prompt: Text,
  tokenizer: Tokenizer,
  options: ExchangeOptions = {},
): { ids: number[]; text: string } {
  if (typeof prompt !== "string")
    return encodeChat(tokenizer, prompt, { ...templateOptions(options), addGenerationPrompt: true });
  const ids = withoutEos(tokenizer.encode(prompt), tokenizer);
  const start = tokenizer.bosId ?? tokenizer.eosId;
  return { ids: ids.length === 0 && start !== undefined ? [start] : ids, text: prompt };
}

/** A prompt, and responses that share its ids. */
export function encodeExchange(
  prompt: Text,
  responses: readonly Text[],
  tokenizer: Tokenizer,
  options: ExchangeOptions = {},
): Exchange {
  if (typeof prompt !== "string") return chatExchange(prompt, responses, tokenizer, options);
  const { ids: before } = encodePrompt(prompt, tokenizer, options);
  const texts = { prompt, completions: responses as string[] };
  const rows = texts.completions.map((response) =>
    prompt === ""
      ? {
          ids: [...before, ...tokenizer.encode(response, { addSpecialTokens: false })],
          boundary: before.length,
        }
      : encodePair(prompt, response, tokenizer, before),
  );
  // Where a tokenizer joins prompt and response otherwise, what all rows begin with is the prompt.
  let boundary = Math.min(...rows.map((row) => row.boundary));
  const first = (rows[0] as { ids: number[] }).ids;
  for (const { ids } of rows) for (let i = 0; i < boundary; i++) if (ids[i] !== first[i]) boundary = i;
  return {
    prompt: first.slice(0, boundary),
    completions: rows.map(({ ids }) => withEos(ids.slice(boundary), tokenizer, options)),
    texts,
  };
}

function chatExchange(
  prompt: readonly Message[],
  responses: readonly Text[],
  tokenizer: Tokenizer,
  options: ExchangeOptions,
): Exchange {
  const template = templateOptions(options);
  const before = encodePrompt(prompt, tokenizer, options);
  const completions = (responses as readonly (readonly Message[])[]).map((response) => {
    const { text } = encodeChat(tokenizer, [...prompt, ...response], template);
    if (!text.startsWith(before.text))
      throw new DataError(
        "the chat template writes the prompt otherwise when an answer follows; choose another with --chat-template",
      );
    return endOfTurn(text.slice(before.text.length), tokenizer);
  });
  return {
    prompt: before.ids,
    completions: completions.map((text) =>
      withEndOfTurn(tokenizer.encode(text, { addSpecialTokens: false }), tokenizer, options),
    ),
    texts: { prompt: before.text, completions },
  };
}

/** White space after the token that ends a turn is the template's: generation has stopped before it. */
function endOfTurn(text: string, tokenizer: Tokenizer): string {
  const trimmed = text.trimEnd();
  return tokenizer.addedTokens.some(({ special, content }) => special && trimmed.endsWith(content))
    ? trimmed
    : text;
}
