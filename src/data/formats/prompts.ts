/** Where the prompt of a row ends: beside its columns, inside two texts that begin alike, or in a written dialogue. */
import { DataError } from "../errors.ts";
import type { Message, Text } from "../rows.ts";

const asMessages = (text: Text, role: string): readonly Message[] =>
  typeof text === "string" ? [{ role, content: text }] : text;

/**
 * Prompt and responses as all strings or all messages: a string beside messages becomes one. Responses that repeat
 * the prompt's messages in front (as UltraFeedback's do) lose them.
 */
export function alike<const T extends readonly Text[]>(
  prompt: Text,
  responses: T,
): { prompt: Text; responses: { -readonly [K in keyof T]: Text } } {
  if ([prompt, ...responses].every((text) => typeof text === "string"))
    return { prompt, responses: responses as never };
  const before = asMessages(prompt, "user");
  return {
    prompt: before,
    responses: responses.map((response) => {
      const messages = asMessages(response, "assistant");
      const repeats = before.every((message, i) => sameMessage(message, messages[i]));
      const rest = repeats ? messages.slice(before.length) : messages;
      if (rest[0]?.role !== "assistant")
        throw new DataError(
          repeats && rest.length === 0
            ? "the response is empty: nothing follows the prompt's messages"
            : "the prompts differ: a response does not go on where the prompt's messages end",
        );
      return rest;
    }) as never,
  };
}

const sameMessage = (a: Message, b: Message | undefined): boolean =>
  b !== undefined && a.role === b.role && a.content === b.content;

/**
 * The prompt inside two responses that contain it.
 *
 * Messages: what both begin with, up to the assistant's turn. Dialogues ("\n\nHuman: ...\n\nAssistant: ..."): up to
 * the last "Assistant:", which must be the same. Other strings: what both begin with, in whole words.
 *
 * @throws DataError when the prompts differ
 */
export function splitPrompt(chosen: Text, rejected: Text): { prompt: Text; chosen: Text; rejected: Text } {
  if (typeof chosen !== "string" || typeof rejected !== "string") {
    const [a, b] = [asMessages(chosen, "assistant"), asMessages(rejected, "assistant")];
    let n = 0;
    while (n < a.length && sameMessage(a[n] as Message, b[n])) n++;
    if (n === a.length && n === b.length) throw new DataError(equalPair);
    while (n > 0 && (a[n] ?? b[n])?.role !== "assistant") n--;
    if (a[n]?.role !== "assistant" || b[n]?.role !== "assistant") throw new DataError(differ);
    return { prompt: a.slice(0, n), chosen: a.slice(n), rejected: b.slice(n) };
  }
  if (isDialogue(chosen) || isDialogue(rejected)) {
    const [a, b] = [lastTurn(chosen), lastTurn(rejected)];
    if (a.prompt !== b.prompt) throw new DataError(differ);
    return { prompt: a.prompt, chosen: a.response, rejected: b.response };
  }
  if (chosen === rejected) throw new DataError(equalPair);
  let n = 0;
  while (n < chosen.length && chosen[n] === rejected[n]) n++;
  // Words stay whole, and the space before a word is the response's.
  const end = /\s+\S*$/.exec(chosen.slice(0, n))?.index ?? 0;
  return { prompt: chosen.slice(0, end), chosen: chosen.slice(end), rejected: rejected.slice(end) };
}

export const equalPair = "chosen and rejected are the same";
const differ = "the prompts of chosen and rejected differ";

/** Is it a dialogue as Anthropic's HH has them? */
export const isDialogue = (text: unknown): boolean =>
  typeof text === "string" && /^\s*Human:/.test(text) && text.includes(assistant);

const assistant = "\n\nAssistant:";

function lastTurn(text: string): { prompt: string; response: string } {
  const at = text.lastIndexOf(assistant);
  if (at < 0 || text.indexOf("\n\nHuman:", at) >= 0)
    throw new DataError("the dialogue does not end with a turn of the Assistant");
  const end = at + assistant.length;
  return { prompt: text.slice(0, end), response: text.slice(end) };
}

/** A dialogue's turns as messages; "" after the last "Assistant:" is the turn to come. */
export function dialogueMessages(text: string): Message[] {
  const turns = text.split(/(?:^|\n\n)\s*(Human|Assistant):/).slice(1);
  const messages: Message[] = [];
  for (let i = 0; i < turns.length; i += 2) {
    const content = (turns[i + 1] as string).trim();
    if (content !== "") messages.push({ role: turns[i] === "Human" ? "user" : "assistant", content });
  }
  return messages;
}
