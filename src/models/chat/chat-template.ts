/**
 * Chat messages to text, as `apply_chat_template` of `transformers` 5 does it.
 *
 * Messages lose their null entries, reasoning is offered under each of its names, `tools` and `documents` are none
 * unless given, and the tokenizer's special tokens (`bos_token`, ...) are variables. A template may mark the
 * assistant's text with `{% generation %}` blocks; `renderMarked` says where they came out.
 */
import { ChatTemplateError } from "../errors.ts";
import type { Span } from "../tokenizer/token-spans.ts";
import type { TokenizerConfig } from "../tokenizer/tokenizer-files.ts";
import { hasGenerationBlocks, type JinjaTemplate, jinjaTemplate } from "./jinja-python.ts";

/** One turn. Templates may read any other entry (`tool_calls`, `name`, `reasoning_content`, ...). */
export interface ChatMessage {
  role: string;
  content?: string | readonly Readonly<Record<string, unknown>>[] | null;
  [key: string]: unknown;
}

export interface RenderOptions {
  /** End with the header of an assistant turn, for the model to continue. Default false. */
  addGenerationPrompt?: boolean;
  /** Leave the last message open, for the model to continue. Default false. */
  continueFinalMessage?: boolean;
  /** JSON schemas of functions that the model may call. */
  tools?: readonly object[];
  documents?: readonly object[];
  /** Further variables of the template (`enable_thinking`, ...); they win over the special tokens. */
  variables?: Readonly<Record<string, unknown>>;
  /** The clock behind `strftime_now`. Default: now. */
  now?: Date;
}

export interface ChatTemplate {
  readonly source: string;
  /** Whether the source has `{% generation %}` blocks. */
  readonly marksGeneration: boolean;
  /** @throws ChatTemplateError with the template's own words when it refuses the messages. */
  render(messages: readonly ChatMessage[], options?: RenderOptions): string;
  /** The same text, and where the `{% generation %}` blocks stand in it (UTF-16 units). */
  renderMarked(messages: readonly ChatMessage[], options?: RenderOptions): { text: string; spans: Span[] };
}

const reasoningNames = ["reasoning_content", "thinking", "reasoning"] as const;
const openTag = "CONTINUE_FINAL_MESSAGE_TAG ";

/**
 * Parses a template.
 *
 * @param specialTokens variables such as `{ bos_token: "<s>" }` (`Tokenizer.specialTokens`).
 * @throws ChatTemplateError when the source does not parse.
 * @example
 * chatTemplate(tokenizer.config.chat_template, tokenizer.specialTokens).render([{ role: "user", content: "Hi" }]);
 */
export function chatTemplate(
  source: string,
  specialTokens: Readonly<Record<string, string>> = {},
): ChatTemplate {
  let template: JinjaTemplate;
  try {
    template = jinjaTemplate(source);
  } catch (error) {
    throw new ChatTemplateError(
      `chatTemplate: the template does not parse: ${(error as Error).message}. ` +
        "Correct it, or name one of Attune's templates.",
      { cause: error },
    );
  }

  function run(
    messages: readonly ChatMessage[],
    options: RenderOptions,
    marks?: readonly [string, string],
  ): string {
    const { addGenerationPrompt = false, continueFinalMessage = false, variables = {} } = options;
    if (continueFinalMessage && addGenerationPrompt) {
      throw new ChatTemplateError(
        "render: continueFinalMessage and addGenerationPrompt exclude each other. " +
          "Take the first to go on with the last message, the second to begin a new one.",
      );
    }
    if (continueFinalMessage && !source.includes("content")) {
      throw new ChatTemplateError(
        "render: continueFinalMessage: this template does not read the content of messages. Take another template.",
      );
    }
    const plain = messages.map(normalised);
    const given = continueFinalMessage ? opened(plain) : plain;
    const { tools = null, documents = null, now = new Date() } = options;
    const own = { messages: given, tools, documents, add_generation_prompt: addGenerationPrompt };
    let text: string;
    try {
      text = template({ ...specialTokens, ...variables, ...own }, now, marks);
    } catch (error) {
      throw new ChatTemplateError(
        `render: the chat template refuses these messages (${messages.map((m) => m.role).join(", ")}): ` +
          `${(error as Error).message}. Change the messages or the template.`,
        { cause: error },
      );
    }
    return continueFinalMessage ? cutAtTag(text) : text;
  }

  return {
    source,
    marksGeneration: hasGenerationBlocks(source),
    render: (messages, options = {}) => run(messages, options),
    renderMarked(messages, options = {}) {
      const marks = freeMarks(
        source + JSON.stringify([messages, options.tools, options.documents, options.variables]),
      );
      const { text, spans } = withoutMarks(run(messages, options, marks), marks);
      if (text !== run(messages, options)) {
        throw new ChatTemplateError(
          "renderMarked: the template changes the text of its {% generation %} blocks after they are rendered. " +
            "Move filters such as trim inside the blocks.",
        );
      }
      return { text, spans };
    },
  };
}

/** A message without null entries, its reasoning under each name that templates read. */
function normalised(message: ChatMessage): ChatMessage {
  const entries = Object.entries(message).filter(([, value]) => value !== null && value !== undefined);
  const plain = Object.fromEntries(entries) as ChatMessage;
  const reasoning = reasoningNames.map((name) => plain[name]).find((value) => value !== undefined);
  return reasoning === undefined ? plain : { thinking: reasoning, ...plain, reasoning_content: reasoning };
}

/** The messages with a tag at the end of the last one, where the text will be cut. */
function opened(messages: readonly ChatMessage[]): ChatMessage[] {
  const last = messages.at(-1);
  const { content } = last ?? {};
  const textPart = Array.isArray(content)
    ? content.findLastIndex((part) => typeof part.text === "string")
    : -1;
  if (last && typeof content === "string")
    return [...messages.slice(0, -1), { ...last, content: content + openTag }];
  if (last && Array.isArray(content) && textPart >= 0) {
    const parts = content.map((part, i) => (i === textPart ? { ...part, text: part.text + openTag } : part));
    return [...messages.slice(0, -1), { ...last, content: parts }];
  }
  throw new ChatTemplateError(
    "render: continueFinalMessage needs a last message with text, got " +
      `${JSON.stringify(content ?? null)}. Give it content to continue.`,
  );
}

function cutAtTag(text: string): string {
  const at = text.lastIndexOf(openTag.trim());
  if (at < 0) {
    throw new ChatTemplateError(
      "render: continueFinalMessage: the template leaves the end of the last message out. Take another template.",
    );
  }
  return text.startsWith(openTag, at) ? text.slice(0, at) : text.slice(0, at).trimEnd();
}

/** Two of Unicode's noncharacters (meant for internal use) that the input does not contain. */
function freeMarks(input: string): [string, string] {
  const free = Array.from({ length: 32 }, (_, i) => String.fromCharCode(0xfdd0 + i)).filter(
    (c) => !input.includes(c),
  );
  if (free.length < 2) {
    throw new ChatTemplateError(
      "renderMarked: the messages use up Unicode's noncharacters. Remove U+FDD0 to U+FDEF.",
    );
  }
  return [free[0] as string, free[1] as string];
}

function withoutMarks(
  marked: string,
  [open, close]: readonly [string, string],
): { text: string; spans: Span[] } {
  let text = "";
  let start = 0;
  const spans: Span[] = [];
  for (const piece of marked.split(new RegExp(`([${open}${close}])`, "u"))) {
    if (piece === open) start = text.length;
    else if (piece === close) spans.push([start, text.length]);
    else text += piece;
  }
  return { text, spans };
}

/**
 * The template that a tokenizer configuration carries: a string, or of several named ones `tool_use` when there are
 * tools, else `default`. Undefined when it has none.
 */
export function configuredTemplate(config: TokenizerConfig, withTools = false): string | undefined {
  const { chat_template: stored } = config;
  if (!Array.isArray(stored)) return stored ?? undefined;
  const named = new Map(stored.map(({ name, template }) => [name, template]));
  return (withTools ? named.get("tool_use") : undefined) ?? named.get("default");
}
