/** Generation with a cache, beside generation without one and beside `transformers`. */
import { existsSync, readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { LocalEngine } from "../graph/index.ts";
import { unflatten } from "../graph/index.ts";
import { loadModel } from "../models/load.ts";
import { bestOf, openEngine, plainForward, ragged, tinyModel } from "./generate.fixture.ts";
import { createGenerator } from "./index.ts";

const families = [
  "gpt2",
  "llama",
  "llama-bias",
  "mistral",
  "qwen2",
  "qwen3",
  "gpt-neox",
  "gpt-neox-sequential",
  "gpt-neo",
];

let engine: LocalEngine;
beforeAll(async () => {
  engine = await openEngine();
});
afterAll(() => engine.dispose());

const greedy = { greedy: true, eosTokenIds: [], maxNewTokens: 20 };

describe.each(families)("%s", (name) => {
  it("continues ragged prompts as transformers does", async () => {
    const { config, weights, golden } = await tinyModel(name);
    const prompts = ragged(golden["left.input_ids"]!, golden["left.attention_mask"]!);
    const generator = createGenerator(engine, config, unflatten(weights));
    const completions = await generator.generate(prompts, greedy);
    const expected = Array.from(golden.generated!.data, Number);
    expect(completions.flatMap((c) => c.ids)).toEqual(expected);
    await generator.dispose();
  });

  it("takes the tokens and log-probabilities of a full forward pass, in every arrangement of the batch", async () => {
    const model = await tinyModel(name);
    const { golden, config, weights } = model;
    const prompts = ragged(golden.input_ids!, golden.attention_mask!);
    const forward = await plainForward(engine, model);
    const expected: number[][] = [];
    for (const prompt of prompts) {
      const ids = [...prompt];
      for (let i = 0; i < 20; i++) ids.push(bestOf((await forward(ids)).at(-1)!));
      expected.push(ids.slice(prompt.length));
    }
    const resident = createGenerator(engine, config, await engine.put(unflatten(weights)));
    for (const options of [{}, { batchSize: 2 }, { batchSize: 1 }]) {
      const completions = await resident.generate(prompts, { ...greedy, ...options });
      expect(completions.map((c) => c.ids)).toEqual(expected);
      for (const [i, { ids, logprobs }] of completions.entries()) {
        const prompt = prompts[i]!;
        const rows = await forward([...prompt, ...ids]);
        for (const [t, logprob] of logprobs.entries())
          expect(logprob).toBeCloseTo(rows[prompt.length + t - 1]![ids[t]!]!, 4);
      }
    }
    const sharing = createGenerator(engine, config, await engine.put(unflatten(weights)), { sharedFrom: 1 });
    for (const generator of [resident, sharing]) {
      const sampled = await generator.generate(prompts, { ...greedy, samples: 3 });
      expect(sampled.map((c) => c.ids)).toEqual(expected.flatMap((ids) => [ids, ids, ids]));
      await generator.dispose();
    }
  });
});

const real = "../shared/data/tinystories-656k";

describe.skipIf(!existsSync(real))(`a real model (skipped where ${real} is absent)`, () => {
  it("continues prompts by 200 tokens as transformers does, token by token", async () => {
    const { cases } = JSON.parse(readFileSync("test/parity/golden/generate.json", "utf8")) as {
      cases: { prompt: number[]; generated: number[] }[];
    };
    const { config, parameters } = await loadModel(real);
    const generator = createGenerator(engine, config, unflatten(parameters));
    const prompts = cases.map(({ prompt }) => prompt);
    const completions = await generator.generate(prompts, { ...greedy, maxNewTokens: 200 });
    for (const [i, { generated }] of cases.entries()) expect(completions[i]!.ids).toEqual(generated);
    await generator.dispose();
  });
  it("writes text that joins with the prompt's, whole and streamed", async () => {
    const { config, parameters, tokenizer } = await loadModel(real);
    if (!tokenizer) throw new Error("a tokenizer is required");
    const generator = createGenerator(engine, config, unflatten(parameters));
    const prompts = ["Once upon a time", "The dog ", "Lily"].map((text) => tokenizer.encode(text));
    const options = { tokenizer, maxNewTokens: 30, seed: 2, samples: 2 };
    const streamed: Record<string, string> = {};
    for await (const { prompt, sample, text = "" } of generator.stream(prompts, options))
      streamed[`${prompt} ${sample}`] = (streamed[`${prompt} ${sample}`] ?? "") + text;
    const show = (ids: readonly number[]) => tokenizer.decode(ids, { skipSpecialTokens: true });
    for (const { prompt, sample, ids, text } of await generator.generate(prompts, options)) {
      const before = prompts[prompt] as number[];
      expect(show(before) + text).toBe(show([...before, ...ids]));
      expect(streamed[`${prompt} ${sample}`]).toBe(text);
    }
    await generator.dispose();
  });
});
