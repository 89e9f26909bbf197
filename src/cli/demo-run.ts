/** The work of `attune demo`: text, tokenizer, model, samples before, training, samples after, a folder to go on with. */
import { townName, townStories } from "../data/town.ts";
import { createGenerator } from "../generate/index.ts";
import { type Engine, unflatten } from "../graph/index.ts";
import { configOf } from "../models/config/config.ts";
import { createModel, type Model } from "../models/load.ts";
import { trainBpe } from "../models/tokenizer/bpe-trainer.ts";
import { createTokenizer, type Tokenizer } from "../models/tokenizer/tokenizer.ts";
import { sft } from "../train/sft.ts";
import type { Implementation } from "./command.ts";
import { openEngine } from "./engine.ts";
import { compact } from "./progress.ts";

interface Options {
  readonly output: string;
  readonly steps: number;
  readonly stories: number;
  readonly seed: number;
}

const prompts = ["Orla the baker", "On market day,", "Ripple is"];

export const runDemo: Implementation<Options> = async (context, { output, steps, stories, seed }) => {
  const started = performance.now();
  const { note, signal } = context;
  const train = townStories(stories, seed);
  const heldOut = townStories(60, seed, stories);
  const characters = train.reduce((n, text) => n + text.length, 0);
  note(
    `1. text: ${stories} stories of the town of ${townName}, ${compact(characters)} characters, made from a grammar`,
  );
  const tokenizer = trainTokenizer(train);
  note(`2. tokenizer: a byte-level BPE of ${tokenizer.vocabSize} tokens, trained on them`);
  const model = newModel(tokenizer, seed);
  const size = Object.values(model.parameters).reduce((n, { data }) => n + data.length, 0);
  note(`3. model: a Llama with ${compact(size)} parameters, random. It says:`);
  const engine = await openEngine(context);
  try {
    const before = await samplesOf(model, engine, seed);
    for (const line of before) note(`     ${line}`);
    const progress = context.progress({ label: "4. training", total: steps });
    const result = await sft(
      {
        model,
        engine,
        data: train.map((text) => ({ text })),
        evalData: heldOut.map((text) => ({ text })),
        outputDir: output,
        overwrite: true,
        maxLength: 128,
        batchSize: 16,
        maxSteps: steps,
        learningRate: 3e-3,
        lrSchedulerType: "cosine",
        warmupSteps: Math.ceil(steps / 20),
        weightDecay: 0.01,
        evalSteps: Math.ceil(steps / 4),
        saveSteps: steps,
        seed,
      },
      {
        signal,
        onStep: ({ step, metrics: { loss, num_tokens, eval_loss } }) => {
          progress.update(step, { units: num_tokens ?? 0, metrics: { loss: loss as number } });
          if (eval_loss !== undefined)
            progress.log(
              `   after ${step} steps: perplexity of stories it has not seen ${Math.exp(eval_loss).toFixed(2)}`,
            );
        },
      },
    );
    progress.done();
    if (result.reason === "stopped") return;
    const after = await samplesOf(result.model, engine, seed);
    note("5. now it says:");
    for (const line of after) note(`     ${line}`);
    const seconds = (performance.now() - started) / 1000;
    const { eval_loss } = result.metrics;
    const perplexity = Math.exp(result.best?.value ?? (eval_loss as number));
    context.result(
      { output, seconds, steps: result.steps, parameters: size, perplexity, before, after },
      [
        `Done in ${seconds.toFixed(0)} s. The model is in ${output}/model, in the Hugging Face layout. Go on with:`,
        `  npx attune generate --model ${output} --prompt "Casper the clockmaker" --temperature 0.8`,
        `  npx attune eval perplexity --model ${output} --data YOUR.txt`,
        `  npx attune sft --model ${output} --data YOUR.jsonl --output runs/mine`,
      ].join("\n"),
    );
  } finally {
    await engine.dispose();
  }
};

function trainTokenizer(texts: readonly string[]): Tokenizer {
  const { tokenizer, config } = trainBpe(texts, { vocabSize: 768 });
  return createTokenizer({ tokenizer, config });
}

function newModel(tokenizer: Tokenizer, seed: number): Model {
  const config = configOf("llama", {
    vocabSize: tokenizer.vocabSize,
    hiddenSize: 128,
    numLayers: 3,
    numHeads: 4,
    intermediateSize: 384,
    maxPositions: 256,
    tieEmbeddings: true,
    ...(tokenizer.eosId !== undefined && { eosTokenId: tokenizer.eosId }),
  });
  return createModel(config, seed, tokenizer, "demo");
}

/** One line a prompt: the prompt and how the model goes on. */
async function samplesOf(model: Model, engine: Engine, seed: number): Promise<string[]> {
  const tokenizer = model.tokenizer as Tokenizer;
  const generator = createGenerator(engine, model.config, unflatten(model.parameters));
  try {
    const completions = await generator.generate(
      prompts.map((prompt) => tokenizer.encode(prompt)),
      { maxNewTokens: 48, temperature: 0.7, seed, tokenizer },
    );
    return completions.map(({ prompt, text }) => `${prompts[prompt]}${text}`.replace(/\s+/g, " "));
  } finally {
    await generator.dispose();
  }
}
