/**
 * The values that columns hold, checked: strings, messages, numbers and labels, as JSON or a CSV file writes them.
 * Every message says what is required and what came.
 */
import { z } from "zod";
import type { Message, Text } from "../rows.ts";

/** A value in a few words, for messages. */
export function shown(value: unknown): string {
  if (value === undefined) return "nothing";
  if (value === null) return "null";
  if (Array.isArray(value)) return value.length === 0 ? "an empty list" : `a list of ${value.length}`;
  if (typeof value === "object") return `an object with ${Object.keys(value).join(", ") || "nothing in it"}`;
  const text = typeof value === "string" ? JSON.stringify(value) : String(value);
  return text.length > 40 ? `${text.slice(0, 40)}...` : text;
}

export const needs = (what: string) => ({
  error: ({ input }: { readonly input?: unknown }) => `${what} is required, got ${shown(input)}`,
});

export const string = z.string(needs("a string"));
export const filled = string.refine((text) => text.trim() !== "", "is empty");

/** What a CSV file or a nested string may hide: JSON as text. */
const parsed = (value: unknown): unknown => {
  if (typeof value !== "string" || !/^\s*[[{]/.test(value)) return value;
  try {
    return JSON.parse(value);
  } catch {
    return value;
  }
};

export const listOf = <T extends z.ZodType>(item: T, what: string) =>
  z.preprocess(parsed, z.array(item, needs(what)).min(1, "is empty"));

const fromText = (value: unknown): unknown =>
  typeof value === "string" && value.trim() !== ""
    ? Number(value)
    : typeof value === "bigint"
      ? Number(value)
      : value;

/** CSV files have an empty string where they have no value. */
const given = (value: unknown): unknown => (value === "" ? undefined : value);

export const number = z.preprocess(fromText, z.number(needs("a number")));
export const wholeNumber = number.refine(Number.isInteger, "a whole number is required");

const labels = new Map<unknown, boolean>([
  ["true", true],
  ["1", true],
  ["false", false],
  ["0", false],
]);

/** true or false, also as 1 and 0, or as text. */
export const label = z.preprocess(
  (value) => labels.get(String(value).toLowerCase()) ?? value,
  z.boolean(needs("a label, true or false,")),
);

export const optionalNumber = z.preprocess(
  (value) => given(fromText(value)),
  z.number(needs("a number")).optional(),
);
export const optionalLabel = z.preprocess(
  (value) => given(labels.get(String(value).toLowerCase()) ?? value),
  z.boolean(needs("a label, true or false,")).optional(),
);

const part = z.looseObject({ text: z.string().optional() });

/** Text, parts of text as some services write them, or nothing beside tool calls. */
function contentOf(content: unknown): string | undefined {
  if (typeof content === "string") return content;
  if (content === null || content === undefined) return "";
  const parts = z.array(part).safeParse(content);
  return parts.success && parts.data.every(({ text }) => text !== undefined)
    ? parts.data.map(({ text }) => text).join("")
    : undefined;
}

const message = z
  .looseObject({ role: filled }, needs("a message with role and content"))
  .transform((value, context): Message => {
    const calls = value.tool_calls;
    const content = contentOf(value.content);
    const isEmpty = value.content == null && !(Array.isArray(calls) && calls.length > 0);
    if (content === undefined || isEmpty)
      context.issues.push({
        code: "custom",
        path: ["content"],
        input: value.content,
        message: `a string is required, got ${shown(value.content)}`,
      });
    return { ...value, content: content ?? "" };
  });

export const messages = listOf(message, "a list of messages") as unknown as z.ZodType<readonly Message[]>;

/** Strings and lists of messages by what came, so that the message is about that one. */
const either = (text: z.ZodType<string>): z.ZodType<Text> =>
  z.unknown().transform((value, context): Text => {
    const schema = Array.isArray(value) ? messages : text;
    const result = schema.safeParse(value);
    if (result.success) return result.data;
    for (const { path, message } of result.error.issues)
      context.issues.push({ code: "custom", path: [...path], input: value, message });
    return z.NEVER;
  });

/** A string, or messages. */
export const text = either(string);

/** The same, and not empty. */
export const filledText = either(filled);

/** JSON schemas of functions that the model may call; some files keep them as a string. */
export const tools = z
  .preprocess(parsed, z.array(z.looseObject({}), needs("a list of tools")))
  .optional()
  .catch(undefined);

/** Our words where a schema has none of its own. */
export const inOurWords: z.core.$ZodErrorMap = ({ code, input, ...issue }) =>
  code === "invalid_type" && typeof issue.expected === "string"
    ? needs(`${/^[aeiou]/.test(issue.expected) ? "an" : "a"} ${issue.expected}`).error({ input })
    : needs("another value").error({ input });

/** Our words for the first thing that is wrong. */
export const firstIssue = ({ issues }: z.ZodError): string => {
  const { path, message } = issues[0] as z.core.$ZodIssue;
  const at =
    path.length > 2 && typeof path[1] === "number"
      ? `${String(path[0])}[${path[1]}].${path.slice(2).join(".")}`
      : path.join(".");
  return at === "" ? message : `${at}: ${message}`;
};
