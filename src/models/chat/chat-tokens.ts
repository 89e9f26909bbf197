/**
 * Chat messages to token ids, and which of them the assistant said.
 *
 * The ids are those of the whole rendered text, so training sees what generation saw. The mask comes from the
 * template's `{% generation %}` blocks or, where it has none, from rendering the messages up to each assistant turn
 * (with the generation prompt) and up to its end: both must be beginnings of the whole text. Characters become tokens
 * through `tokenSpans`; a token that reaches over a boundary belongs to the assistant, as in `transformers`.
 */

import { ChatTemplateError } from "../errors.ts";
import { type Span, tokenSpans } from "../tokenizer/token-spans.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import {
  type ChatMessage,
  type ChatTemplate,
  chatTemplate,
  configuredTemplate,
  type RenderOptions,
} from "./chat-template.ts";
import { defaultTemplates, isDefaultTemplateName } from "./default-templates.ts";

export interface ChatOptions extends RenderOptions {
  /** Template source (the contents of chat_template.jinja, say) or a default template's name. Default: the tokenizer's. */
  template?: string;
}

/**
 * The template that a tokenizer's chats use.
 *
 * @throws ChatTemplateError when neither the options nor the tokenizer have one.
 */
export function chatTemplateOf(tokenizer: Tokenizer, { template, tools }: ChatOptions = {}): ChatTemplate {
  const named = template !== undefined && isDefaultTemplateName(template);
  const source = named
    ? defaultTemplates[template].template
    : (template ?? configuredTemplate(tokenizer.config, !!tools));
  if (source === undefined) {
    throw new ChatTemplateError(
      "this model has no chat template: name one (--chat-template, or chatTemplate in code), " +
        `${Object.keys(defaultTemplates).join(", ")}, or give the source of another`,
    );
  }
  return chatTemplate(source, tokenizer.specialTokens);
}

/** Renders and encodes messages; the template writes the special tokens, the tokenizer adds none. */
export function encodeChat(
  tokenizer: Tokenizer,
  messages: readonly ChatMessage[],
  options: ChatOptions = {},
): { text: string; ids: number[] } {
  const text = chatTemplateOf(tokenizer, options).render(messages, options);
  return { text, ids: tokenizer.encode(text, { addSpecialTokens: false }) };
}

/**
 * The ids of a conversation and a mask with 1 on what the assistant said, end-of-turn tokens included.
 *
 * @returns `text` as rendered, `ids` and `mask` of equal length `[T]`.
 * @throws ChatTemplateError when the template neither marks the assistant's text nor renders a conversation's
 * beginning as the beginning of its text; TokenizerError when the tokenizer rewrites the text.
 */
export function assistantMask(
  tokenizer: Tokenizer,
  messages: readonly ChatMessage[],
  options: ChatOptions = {},
): { text: string; ids: number[]; mask: number[] } {
  const template = chatTemplateOf(tokenizer, options);
  const { text, spans } = template.marksGeneration
    ? template.renderMarked(messages, options)
    : spansByPrefix(template, tokenizer, messages, options);
  const ids = tokenizer.encode(text, { addSpecialTokens: false });
  const mask = new Array<number>(ids.length).fill(0);
  let next = 0;
  for (const [token, [start, end]] of tokenSpans(tokenizer, text, ids).entries()) {
    while (next < spans.length && (spans[next] as Span)[1] <= start) next++;
    const span = spans[next];
    if (span && start < span[1] && (end > span[0] || (end === start && start >= span[0]))) mask[token] = 1;
  }
  return { text, ids, mask };
}

/** The assistant's turns in the text, found by rendering what comes before and what comes up to them. */
function spansByPrefix(
  template: ChatTemplate,
  tokenizer: Tokenizer,
  messages: readonly ChatMessage[],
  options: RenderOptions,
): { text: string; spans: Span[] } {
  const text = template.render(messages, options);
  const plain = { ...options, addGenerationPrompt: false, continueFinalMessage: false };
  const spans: Span[] = [];
  messages.forEach((message, i) => {
    if (message.role !== "assistant") return;
    const before = template.render(messages.slice(0, i), { ...plain, addGenerationPrompt: true });
    const isLast = i === messages.length - 1;
    const upTo =
      isLast && options.continueFinalMessage ? text : template.render(messages.slice(0, i + 1), plain);
    for (const part of [before, upTo]) {
      if (!text.startsWith(part)) {
        throw new ChatTemplateError(
          `assistantMask: this chat template renders the first ${part === before ? i : i + 1} of ${messages.length} messages ` +
            `differently from the whole conversation (from ${JSON.stringify(firstDifference(part, text))} on), so it cannot say ` +
            "where assistant turn " +
            `${i + 1} stands. Wrap the assistant's text of the template in {% generation %} ... {% endgeneration %}.`,
        );
      }
    }
    spans.push([before.length, turnEnd(text, before.length, upTo.length, tokenizer)]);
  });
  return { text, spans };
}

/** White space after the special token that ends a turn is the template's, not the model's. */
function turnEnd(text: string, start: number, end: number, tokenizer: Tokenizer): number {
  const turn = text.slice(start, end).trimEnd();
  const endsTurn = tokenizer.addedTokens.some((token) => token.special && turn.endsWith(token.content));
  return endsTurn ? start + turn.length : end;
}

function firstDifference(part: string, text: string): string {
  let i = 0;
  while (i < part.length && part[i] === text[i]) i++;
  return part.slice(Math.max(0, i - 10), i + 20);
}
