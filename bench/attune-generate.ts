/** Attune's side of `generate.ts`: whole calls of a generator that is ready, as the peers' models are. */
import { createGenerator, type Generator } from "../src/generate/index.ts";
import { type Engine, type HostArray, unflatten } from "../src/graph/index.ts";
import { createEngine } from "../src/graph/node.ts";
import { randomBits } from "../src/graph/random.ts";
import type { ModelConfig } from "../src/models/config/config.ts";
import { initialParameters } from "../src/models/model.ts";

export interface GenerateRequest {
  readonly batch: number;
  readonly prompt: number;
  readonly new_tokens: number;
  readonly samples: number;
  readonly sample: boolean;
  /** "fp32", "int8", or "resident": single precision with weights that may change. */
  readonly mode: string;
}

interface Ready {
  readonly key: string;
  readonly engine: Engine;
  readonly generator: Generator;
}

let kept: Ready | undefined;

export async function closeGenerator(): Promise<void> {
  await kept?.generator.dispose();
  await kept?.engine.dispose();
  kept = undefined;
}

async function generatorFor(config: ModelConfig, mode: string, threads: number): Promise<Generator> {
  const key = JSON.stringify([config.raw, mode]);
  if (kept?.key === key) return kept.generator;
  await closeGenerator();
  const engine = await createEngine({
    worker: false,
    threads,
    ...(process.env.PROFILE && { profile: process.env.PROFILE }),
  });
  const host = unflatten<HostArray>(initialParameters(config, 0));
  const weights = mode === "resident" ? await engine.put(host) : host;
  const generator = createGenerator(engine, config, weights, { int8: mode === "int8" });
  kept = { key, engine, generator };
  return generator;
}

export async function generate(config: ModelConfig, request: GenerateRequest, threads: number) {
  const generator = await generatorFor(config, request.mode, threads);
  const { batch, prompt, samples, new_tokens: maxNewTokens, sample } = request;
  const prompts = Array.from({ length: batch }, (_, i) =>
    Array.from({ length: prompt }, (_, t) => randomBits(1, i, t) % config.vocabSize),
  );
  const options = { maxNewTokens, samples, greedy: !sample, eosTokenIds: [], batchSize: batch * samples };
  const start = performance.now();
  const completions = await generator.generate(prompts, options);
  const seconds = (performance.now() - start) / 1000;
  const made = completions.reduce((n, { ids }) => n + ids.length, 0);
  if (made !== batch * samples * maxNewTokens) throw new Error(`generate: made ${made} tokens`);
  return { tokens_per_second: made / seconds, seconds };
}
