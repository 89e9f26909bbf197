/** Prompts: a question in its frame, with or without a greeting, and the way back to its task. */
import { type Draw, hashText } from "./draw.ts";
import { plain } from "./forms.ts";
import type { KindName } from "./kind.ts";
import { type AnyKind, kinds } from "./kinds/index.ts";

const before = "Question: ";
const after = "\nAnswer:";
const greetings = ["Hello.", "Good morning.", "Excuse me."];

/** One task, in words. */
export interface Asked {
  readonly kind: AnyKind;
  readonly task: unknown;
  readonly prompt: string;
}

export type Split = "train" | "held-out";

/** Every tenth task is held out, whatever the seed and however it is greeted. */
export const splitOf = ({ name }: { readonly name: KindName }, key: string): Split =>
  hashText(`${name} ${key}`) % 10 === 0 ? "held-out" : "train";

/** Draws a task of a kind from one side of the split. */
export function drawPrompt(kind: AnyKind, split: Split, draw: Draw): Asked {
  let task = kind.draw(draw);
  while (splitOf(kind, kind.key(task)) !== split) task = kind.draw(draw);
  const greeting = draw.chance(0.25) ? `${draw.pick(greetings)} ` : "";
  return { kind, task, prompt: `${before}${greeting}${kind.ask(task)}${after}` };
}

const greeted = new RegExp(`^(?:${greetings.map((text) => plain(text)).join("|")})\\. `);

/** The task that a prompt sets, with or without frame and greeting; undefined when it is not of this world. */
export function readPrompt(prompt: string): Asked | undefined {
  const question = plain(
    prompt
      .trim()
      .replace(/^Question:/i, "")
      .replace(/\s*Answer:$/i, ""),
  ).replace(greeted, "");
  for (const kind of kinds) {
    const task = kind.parse(question);
    if (task !== undefined) return { kind, task, prompt };
  }
  return undefined;
}
