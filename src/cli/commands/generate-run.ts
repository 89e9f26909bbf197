/** The work of `attune generate`: one completion streams to the terminal, several are printed as they are known. */
import { type Completion, createGenerator, type Generator } from "../../generate/index.ts";
import { type Engine, unflatten } from "../../graph/index.ts";
import { chatTemplateFrom } from "../../models/chat/node-template.ts";
import { CheckpointError } from "../../models/errors.ts";
import { loadModel, type Model, withChatTemplate } from "../../models/load.ts";
import type { RewardInput } from "../../reward/reward.ts";
import type { Implementation } from "../command.ts";
import type { CliContext } from "../context.ts";
import { counted } from "../counted.ts";
import { openEngine } from "../engine.ts";
import { UsageError } from "../failure.ts";
import { encodePrompt, type Prompt, type PromptRow, readPrompts } from "../prompts.ts";
import { type SamplingOptions, samplingOf } from "../sampling.ts";

interface Options extends SamplingOptions {
  readonly model: string;
  readonly prompt?: readonly string[];
  readonly prompts?: string;
  readonly chat?: boolean;
  readonly chatTemplate?: string;
  readonly n: number;
  readonly bestOf?: number;
  readonly reward?: string;
  readonly batchSize: number;
}

export const runGenerate: Implementation<Options> = async (context, options) => {
  if (!options.prompt && !options.prompts) throw new UsageError("generate: give --prompt or --prompts");
  const { bestOf: size, reward } = options;
  if ((size === undefined) !== (reward === undefined))
    throw new UsageError("generate: --best-of and --reward go together, give both or neither");
  if (size !== undefined && options.greedy)
    throw new UsageError("generate: --best-of chooses among different samples; leave --greedy out");
  const given: PromptRow[] = [
    ...(options.prompt ?? []).map((prompt) => ({ prompt })),
    ...(options.prompts ? await readPrompts(options.prompts) : []),
  ];
  const rows = given.map(({ prompt, ...rest }): PromptRow => {
    const asked = options.chat && typeof prompt === "string" ? [{ role: "user", content: prompt }] : prompt;
    return { prompt: asked as Prompt, ...rest };
  });
  const prompts = rows.map(({ prompt }) => prompt);
  const { generator, model, engine, close } = await openGenerator(context, options);
  try {
    const settings = {
      ...samplingOf(options),
      tokenizer: model.tokenizer as NonNullable<Model["tokenizer"]>,
      samples: options.n * (size ?? 1),
      batchSize: options.batchSize,
      signal: context.signal,
    };
    const ids = prompts.map((prompt) => encodePrompt(model, prompt));
    if (prompts.length === 1 && options.n === 1 && size === undefined && !context.json) {
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
    if (size !== undefined && reward !== undefined) {
      const { bestOfKl } = await import("../../train/best-of-n.ts");
      const best = await bestOf(completions, { engine, model, prompts: rows, reward, size });
      context.result(
        {
          best_of: size,
          kl_bound: bestOfKl(size),
          completions: best.map((c) => ({ ...described(c, prompts), score: c.score, scores: c.scores })),
        },
        best.map((c) => printed(c, prompts, options.n * size, c.score)).join("\n\n"),
      );
      return;
    }
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
): Promise<{ generator: Generator; model: Model; engine: Engine; close: () => Promise<void> }> {
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
  return { generator, model, engine, close: () => engine.dispose() };
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

function printed(c: Completion, prompts: readonly Prompt[], samples: number, score?: number): string {
  const prompt = prompts[c.prompt];
  const which = `prompt ${c.prompt + 1}${samples > 1 ? `, sample ${c.sample + 1}` : ""}`;
  const head = `--- ${which} (${c.finishReason}${score === undefined ? "" : `, scores ${score.toFixed(3)}`})`;
  return `${head}\n${typeof prompt === "string" ? prompt : ""}${c.text}`;
}

/** A completion that was taken, and what all of its group scored. */
interface Best extends Completion {
  readonly score: number;
  /** Of the n among which it was, in the order in which they were sampled. */
  readonly scores: readonly number[];
}

interface BestOptions {
  readonly engine: Engine;
  readonly model: Model;
  readonly prompts: readonly PromptRow[];
  /** As `--reward` has it. */
  readonly reward: string;
  /** n. */
  readonly size: number;
}

/**
 * Of every `size` completions that follow one another, and are of one prompt, the one that scores best; of those that
 * ended by themselves, where there are any.
 *
 * @throws RewardError when the reward means nothing, or gives what are no scores
 */
async function bestOf(
  completions: readonly Completion[],
  { engine, model, prompts, reward, size }: BestOptions,
): Promise<Best[]> {
  const { tokenizer } = model;
  // What only this needs is loaded here: a start without it is faster.
  const { openReward } = await import("../../reward/node-open.ts");
  const { checked } = await import("../../reward/reward.ts");
  const { bestIndex } = await import("../../train/best-of-n.ts");
  const opened = await openReward(reward, { engine, ...(tokenizer && { tokenizer }) });
  try {
    const inputs = completions.map(({ prompt: i, text = "", ids, finishReason }): RewardInput => {
      const { prompt, row } = prompts[i] as PromptRow;
      return {
        ...(typeof prompt === "string" ? { prompt } : { prompt: "", messages: prompt }),
        completion: text,
        completionIds: ids,
        terminated: finishReason !== "length",
        ...(row && { row }),
      };
    });
    const scores = await checked(opened.score, opened.name)(inputs);
    return Array.from({ length: completions.length / size }, (_, k) => {
      const group = completions.slice(k * size, (k + 1) * size);
      const own = scores.slice(k * size, (k + 1) * size);
      const at = bestIndex(
        own,
        group.map(({ finishReason }) => finishReason !== "length"),
      );
      return { ...(group[at] as Completion), score: own[at] as number, scores: own };
    });
  } finally {
    await opened.dispose();
  }
}
