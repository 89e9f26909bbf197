/** ShareGPT's conversations: turns with `from` and `value`, tool calls among them (as LLaMA-Factory writes them). */
import { z } from "zod";
import type { Message } from "../rows.ts";
import { filled, listOf, needs, shown, string, tools } from "./columns.ts";

const roles: Readonly<Record<string, string>> = {
  human: "user",
  user: "user",
  prompter: "user",
  gpt: "assistant",
  chatgpt: "assistant",
  bot: "assistant",
  assistant: "assistant",
  system: "system",
  function_call: "assistant",
  observation: "tool",
  function_response: "tool",
  tool: "tool",
};

/** One turn as a message. */
export const turn = z
  .union(
    [
      z.looseObject({ from: filled, value: string }),
      z
        .looseObject({ role: filled, content: string })
        .transform(({ role, content }) => ({ from: role, value: content })),
    ],
    needs("a turn with from and value"),
  )
  .transform(({ from, value }, context): Message => {
    const role = roles[from];
    if (role === undefined)
      context.issues.push({
        code: "custom",
        path: ["from"],
        input: from,
        message: `one of ${Object.keys(roles).join(", ")} is required, got ${shown(from)}`,
      });
    const calls = from === "function_call" ? toolCalls(value) : undefined;
    return calls
      ? { role: "assistant", content: "", tool_calls: calls }
      : { role: role ?? from, content: value };
  });

export const turns = listOf(turn, "a list of turns");

const call = z.object({ name: z.string(), arguments: z.unknown() });

/** The calls that a turn's JSON holds, one or several, as chat templates read them. */
function toolCalls(value: string): object[] | undefined {
  try {
    const calls = z.array(call).parse([JSON.parse(value)].flat());
    return calls.map((f) => ({ type: "function", function: f }));
  } catch {
    return undefined;
  }
}

/** Tools as chat templates read them: bare functions get their wrapper. */
export const wrappedTools = tools.transform((list) =>
  list?.map((tool) => ("function" in tool ? tool : { type: "function", function: tool })),
);

/** The conversation with its system prompt, which some files keep in a column. */
export const withSystem = (
  system: string | undefined,
  conversation: readonly Message[],
): readonly Message[] =>
  system && conversation[0]?.role !== "system"
    ? [{ role: "system", content: system }, ...conversation]
    : conversation;
