/** The work of `attune chat`: a conversation on the terminal, or line by line from a pipe. */
import { createInterface } from "node:readline/promises";
import type { Message } from "../../data/rows.ts";
import type { Model } from "../../models/load.ts";
import type { Implementation } from "../command.ts";
import { encodePrompt } from "../prompts.ts";
import { type SamplingOptions, samplingOf } from "../sampling.ts";
import { openGenerator } from "./generate-run.ts";

interface Options extends SamplingOptions {
  readonly model: string;
  readonly system?: string;
  readonly chatTemplate?: string;
}

export const runChat: Implementation<Options> = async (context, options) => {
  const { generator, model, close } = await openGenerator(context, options);
  const opening: Message[] =
    options.system === undefined ? [] : [{ role: "system", content: options.system }];
  const isTerminal = process.stdin.isTTY === true;
  const lines = createInterface({ input: process.stdin, ...(isTerminal && { output: process.stderr }) });
  context.signal.addEventListener("abort", () => lines.close());
  lines.on("SIGINT", () => process.kill(process.pid, "SIGINT"));
  // A template that is missing or refuses is told before the first question.
  encodePrompt(model, [...opening, { role: "user", content: "" }]);
  lines.setPrompt("you: ");
  let isOpen = true; // the end of a pipe is read ahead, while an answer is still on its way
  lines.on("close", () => {
    isOpen = false;
  });
  const ask = () => {
    if (isTerminal && isOpen) lines.prompt();
  };
  let messages = opening;
  try {
    ask();
    for await (const line of lines) {
      if (line.trim() === "/reset") messages = opening;
      else if (line.trim() === "") {
        if (isTerminal) break;
        continue;
      } else {
        messages = fitting(
          model,
          [...messages, { role: "user", content: line }],
          opening.length,
          options.maxNewTokens ?? 1,
        );
        let answer = "";
        if (isTerminal) context.write("model: ");
        const settings = {
          ...samplingOf(options),
          tokenizer: model.tokenizer as NonNullable<Model["tokenizer"]>,
        };
        for await (const { text = "" } of generator.stream([encodePrompt(model, messages)], {
          ...settings,
          signal: context.signal,
        })) {
          // The space between the template and the answer is not shown.
          const piece = answer === "" ? text.trimStart() : text;
          answer += piece;
          context.write(piece);
        }
        context.write("\n");
        messages = [...messages, { role: "assistant", content: answer.trim() }];
      }
      ask();
    }
  } finally {
    lines.close();
    await close();
  }
  context.result({ messages });
};

/** Leaves out the oldest turns until the conversation and an answer fit the context. */
function fitting(model: Model, messages: readonly Message[], fixed: number, answer: number): Message[] {
  const kept = [...messages];
  const room = Math.max(Math.floor(model.config.maxPositions / 2), model.config.maxPositions - answer);
  while (kept.length > fixed + 1 && encodePrompt(model, kept).length > room)
    kept.splice(fixed, Math.min(2, kept.length - fixed - 1));
  return kept;
}
