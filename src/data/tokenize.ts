/**
 * From rows to token ids with a mask of what the loss counts.
 *
 * The end-of-text token is appended and is a label, so that a model learns to stop. In prompt-completion rows only
 * the completion counts; in conversations everything, or the assistant's words alone. Of a pair the chosen response is
 * the completion (Rafailov et al. 2023, section 4, fine-tune their reference so).
 */
import { assistantMask, encodeChat } from "../models/chat/chat-tokens.ts";
import type { Tokenizer } from "../models/tokenizer/tokenizer.ts";
import { DataError } from "./errors.ts";
import type { Example } from "./example.ts";
import { DroppedRow } from "./fit-length.ts";
import type { Message, RowOf, Source } from "./rows.ts";
import type { Truncation } from "./truncation.ts";

export interface TokenizeOptions {
  /** Tokens of a row, at most. */
  readonly maxLength: number;
  /** Default: `split` for documents of text, `keep_start` for the rest. */
  readonly truncation?: Truncation;
  /** In prompt-completion rows only the completion counts. Default true. */
  readonly completionOnlyLoss?: boolean;
  /** In conversations only what the assistant says counts. Default false. */
  readonly assistantOnlyLoss?: boolean;
  /** Id of the end-of-text token. Default: the tokenizer's. */
  readonly eosId?: number;
  /** Chat template for rows of messages: Jinja source, or the name of one of Attune's. Default: the tokenizer's. */
  readonly chatTemplate?: string;
}

/** The rows that a language model is trained on. */
export type SftRow = RowOf<"text" | "completion" | "messages" | "preference">;

/** What of a row is learned: of a pair the prompt with its chosen response. @throws DroppedRow for a tie */
export function demonstrationOf(row: SftRow): RowOf<"text" | "completion" | "messages"> {
  if (row.kind !== "preference") return row;
  if (row.tie) throw new DroppedRow("a tie has no chosen response");
  const { prompt, chosen: completion, tools } = row;
  return { kind: "completion", prompt, completion, ...(tools && { tools }) };
}

interface Tokens {
  ids: number[];
  counts: Uint8Array;
}

/**
 * The examples of a row: one, or several with `split`.
 *
 * @throws DataError with the reason when the row cannot be used, DroppedRow when the policy `drop` leaves it out
 */
export function tokenizeRow(
  row: SftRow & { readonly source: Source },
  tokenizer: Tokenizer,
  options: TokenizeOptions,
): Example[] {
  const { maxLength, truncation = row.kind === "text" ? "split" : "keep_start" } = options;
  const shown = demonstrationOf(row);
  const tokens = encoders[shown.kind](shown as never, tokenizer, {
    ...options,
    ...(row.tools && { tools: row.tools }),
  });
  tokens.counts[0] = 0;
  const { length } = tokens.ids;
  if (length > maxLength && (truncation === "error" || truncation === "drop")) {
    const reason = `the row has ${length} tokens, max_length is ${maxLength}`;
    if (truncation === "drop") throw new DroppedRow(reason);
    throw new DataError(`${reason}; raise it or choose a truncation`);
  }
  const examples = pieces(length, maxLength, truncation)
    .map(([from, to]) => slice(tokens, from, to, row.source))
    .filter(({ counts }) => counts.includes(1));
  if (examples.length > 0) return examples;
  throw new DataError(
    length > maxLength
      ? `no label is left after cutting ${length} tokens to ${maxLength} (${truncation}); raise max_length`
      : "the row has no label: at least two tokens are required",
  );
}

/** The parts of a row of `length` tokens that are kept, as [from, to). */
function pieces(length: number, maxLength: number, truncation: Truncation): [number, number][] {
  if (length <= maxLength) return [[0, length]];
  if (truncation === "keep_end") return [[length - maxLength, length]];
  if (truncation !== "split") return [[0, maxLength]];
  // Neighbours share one token: the last of a piece is a label there and the first input of the next.
  const parts: [number, number][] = [];
  for (let from = 0; from < length - 1; from += maxLength - 1)
    parts.push([from, Math.min(length, from + maxLength)]);
  return parts;
}

function slice({ ids, counts }: Tokens, from: number, to: number, source: Source): Example {
  const mask = counts.slice(from, to);
  mask[0] = 0;
  return {
    ids: Int32Array.from(ids.slice(from, to)),
    counts: mask,
    segments: [to - from],
    sources: [source],
  };
}

type EncodeOptions = TokenizeOptions & { readonly tools?: readonly object[] };
type Shown = ReturnType<typeof demonstrationOf>["kind"];
type Encoder<K extends Shown> = (row: RowOf<K>, tokenizer: Tokenizer, options: EncodeOptions) => Tokens;

const encoders: { [K in Shown]: Encoder<K> } = {
  text: ({ text }, tokenizer, options) => {
    const ids = withEos(tokenizer.encode(text), tokenizer, options);
    return { ids, counts: new Uint8Array(ids.length).fill(1) };
  },
  completion: ({ prompt, completion }, tokenizer, options) => {
    const completionOnly = options.completionOnlyLoss ?? true;
    if (typeof prompt !== "string" || typeof completion !== "string") {
      const messages = [...(prompt as readonly Message[]), ...(completion as readonly Message[])];
      return chat(messages, prompt.length, completionOnly, tokenizer, options);
    }
    const { ids: joint, boundary } = encodePair(prompt, completion, tokenizer);
    const ids = withEos(joint, tokenizer, options);
    const counts = new Uint8Array(ids.length).fill(1);
    if (completionOnly) counts.fill(0, 0, boundary);
    return { ids, counts };
  },
  messages: ({ messages }, tokenizer, options) =>
    chat(messages, 0, options.assistantOnlyLoss ?? false, tokenizer, options),
};

/** A conversation; with `assistantOnly` the assistant's turns count that come after the first `prompt` messages. */
function chat(
  messages: readonly Message[],
  prompt: number,
  assistantOnly: boolean,
  tokenizer: Tokenizer,
  options: EncodeOptions,
): Tokens {
  const template = {
    ...(options.chatTemplate !== undefined && { template: options.chatTemplate }),
    ...(options.tools && { tools: options.tools }),
  };
  if (!assistantOnly) {
    const ids = withEndOfTurn(encodeChat(tokenizer, messages, template).ids, tokenizer, options);
    return { ids, counts: new Uint8Array(ids.length).fill(1) };
  }
  const { ids: rendered, mask } = assistantMask(tokenizer, messages, template);
  const ids = withEndOfTurn(rendered, tokenizer, options);
  const counts = new Uint8Array(ids.length).fill(1);
  counts.set(mask);
  if (prompt > 0) {
    const before = encodeChat(tokenizer, messages.slice(0, prompt), {
      ...template,
      addGenerationPrompt: true,
    });
    counts.fill(0, 0, before.ids.length);
  }
  return { ids, counts };
}

/** A template writes its own end of turn; where it writes none, the end of text follows. */
export function withEndOfTurn(ids: number[], tokenizer: Tokenizer, options: { eosId?: number }): number[] {
  const ends = new Set([endOf(tokenizer, options), ...tokenizer.specialIds]);
  return ids.slice(-2).some((id) => ends.has(id)) ? ids : withEos(ids, tokenizer, options);
}

/**
 * Prompt and completion in one, and where the completion starts. Generation sees the prompt's own ids, so training
 * does too: where the two would be tokenised otherwise in one piece, they are joined from two.
 */
export function encodePair(
  prompt: string,
  completion: string,
  tokenizer: Tokenizer,
  before = withoutEos(tokenizer.encode(prompt), tokenizer),
): { ids: number[]; boundary: number } {
  const joint = tokenizer.encode(prompt + completion);
  if (before.every((id, i) => joint[i] === id)) return { ids: joint, boundary: before.length };
  const parts = [...before, ...tokenizer.encode(completion, { addSpecialTokens: false })];
  const text = (ids: number[]) => tokenizer.decode(ids, { skipSpecialTokens: true });
  if (text(parts) === text(joint)) return { ids: parts, boundary: before.length };
  // The tokenizer puts a space before every text it encodes: the joint ids it is, and what differs is completion.
  return { ids: joint, boundary: before.findIndex((id, i) => joint[i] !== id) };
}

const endOf = (tokenizer: Tokenizer, { eosId }: { eosId?: number }) => eosId ?? tokenizer.eosId;

/** Ids with the end-of-text token, where there is one. */
export function withEos(ids: number[], tokenizer: Tokenizer, options: { eosId?: number }): number[] {
  const eos = endOf(tokenizer, options);
  return eos === undefined || ids.at(-1) === eos ? ids : [...ids, eos];
}

/** Ids without the end that some tokenizers put after every text: a prompt goes on. */
export const withoutEos = (ids: number[], tokenizer: Tokenizer): number[] =>
  ids.length > 1 && ids.at(-1) === tokenizer.eosId ? ids.slice(0, -1) : ids;
