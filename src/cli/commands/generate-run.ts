/** The work of `attune generate`: one completion streams to the terminal, several are printed as they are known. */
import { type Completion, createGenerator, type Generator } from "../../generate/index.ts";
import { unflatten } from "../../graph/index.ts";
import { chatTemplateFrom } from "../../models/chat/node-template.ts";
import { CheckpointError } from "../../models/errors.ts";
import { loadModel, type Model, withChatTemplate } from "../../models/load.ts";
import type { Implementation } from "../command.ts";
import type { CliContext } from "../context.ts";
import { counted } from "../counted.ts";
import { openEngine } from "../engine.ts";
import { UsageError } from "../failure.ts";
import { encodePrompt, type Prompt, readPrompts } from "../prompts.ts";
import { type SamplingOptions, samplingOf } from "../sampling.ts";

interface Options extends SamplingOptions {
  readonly model: string;
  readonly prompt?: readonly string[];
  readonly prompts?: string;
  readonly chat?: boolean;
  readonly chatTemplate?: string;
  readonly n: number;
  readonly batchSize: number;
}

export const runGenerate: Implementation<Options> = async (context, options) => {
  if (!options.prompt && !options.prompts) throw new UsageError("generate: give --prompt or --prompts");
  const texts: Prompt[] = [
    ...(options.prompt ?? []),
    ...(options.prompts ? await readPrompts(options.prompts) : []),
  ];
  const prompts = options.chat
    ? texts.map(
        (prompt): Prompt => (typeof prompt === "string" ? [{ role: "user", content: prompt }] : prompt),
      )
    : texts;
  const { generator, model, close } = await openGenerator(context, options);
  try {
    const settings = {
      ...samplingOf(options),
      tokenizer: model.tokenizer as NonNullable<Model["tokenizer"]>,
      samples: options.n,
      batchSize: options.batchSize,
      signal: context.signal,
    };
    const ids = prompts.map((prompt) => encodePrompt(model, prompt));
    if (prompts.length === 1 && options.n === 1 && !context.json) {
      const [prompt] = prompts as [Prompt];
      let begun = false;
      for await (const { text = "" } of generator.stream(ids, settings)) {
        if (!begun) context.write(typeof prompt === "string" ? prompt : "");
        begun = true;
        context.write(text);
      }
      context.write("\n");
      return;
    }
    const started = performance.now();
    const completions = await generator.generate(ids, settings);
    const seconds = (performance.now() - started) / 1000;
    const tokens = completions.reduce((n, c) => n + c.ids.length, 0);
    context.note(
      `${counted(tokens, "token")} in ${seconds.toFixed(1)} s, ${(tokens / seconds).toFixed(0)} tok/s`,
    );
    context.result(
      { completions: completions.map((c) => described(c, prompts)) },
      completions.map((c) => printed(c, prompts, options.n)).join("\n\n"),
    );
  } finally {
    await close();
  }
};

/** A model that is ready to generate, and what releases it. */
export async function openGenerator(
  context: CliContext,
  options: { model: string; int8?: boolean; chatTemplate?: string },
): Promise<{ generator: Generator; model: Model; close: () => Promise<void> }> {
  const loaded = await loadModel(options.model, { signal: context.signal });
  const { chatTemplate } = options;
  const model =
    chatTemplate === undefined ? loaded : withChatTemplate(loaded, await chatTemplateFrom(chatTemplate));
  if (!model.tokenizer)
    throw new CheckpointError(`${options.model}: generating text needs a tokenizer, there is none`);
  const engine = await openEngine(context);
  const generator = createGenerator(engine, model.config, unflatten(model.parameters), {
    int8: options.int8 ?? false,
  });
  return { generator, model, close: () => engine.dispose() };
}

const described = (c: Completion, prompts: readonly Prompt[]) => ({
  prompt: prompts[c.prompt],
  sample: c.sample,
  text: c.text,
  ids: c.ids,
  logprobs: c.logprobs,
  sampled_logprobs: c.sampledLogprobs,
  finish_reason: c.finishReason,
});

function printed(c: Completion, prompts: readonly Prompt[], samples: number): string {
  const prompt = prompts[c.prompt];
  const head = `--- prompt ${c.prompt + 1}${samples > 1 ? `, sample ${c.sample + 1}` : ""} (${c.finishReason})`;
  return `${head}\n${typeof prompt === "string" ? prompt : ""}${c.text}`;
}
