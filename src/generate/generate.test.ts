/** What callers rely on: batches, ends of rows, seeds, streams, errors. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type LocalEngine, unflatten } from "../graph/index.ts";
import { configOf } from "../models/config/config.ts";
import { initialParameters } from "../models/model.ts";
import type { Tokenizer } from "../models/tokenizer/tokenizer.ts";
import { openEngine, plainForward, type TinyModel, tinyModel } from "./generate.fixture.ts";
import { createGenerator, type Generator, type TokenEvent } from "./index.ts";

let engine: LocalEngine;
let model: TinyModel;
let generator: Generator;

beforeAll(async () => {
  engine = await openEngine();
  model = await tinyModel("llama");
  generator = createGenerator(engine, model.config, await engine.put(unflatten(model.weights)));
});
afterAll(() => engine.dispose());

const prompts = [
  [3, 4, 5],
  [6, 7, 8, 9, 10, 11, 12],
  [13],
  [14, 15],
  [16, 17, 18, 19],
  [20, 21, 22],
  [23, 24],
];
const sampling = { eosTokenIds: [], maxNewTokens: 12, seed: 5 };
const idsOf = (completions: readonly { ids: number[] }[]) => completions.map((c) => c.ids);

/** Letters for ids, so that stop strings can be read off. */
const letters = {
  decode: (ids: readonly number[]) => ids.map((id) => String.fromCharCode(97 + (id % 26))).join(""),
  idToToken: (id: number) => String.fromCharCode(97 + (id % 26)),
  specialIds: new Set<number>(),
} as unknown as Tokenizer;

describe("generate", () => {
  it("gives the same tokens for the same seed and others for another", async () => {
    const a = await generator.generate(prompts, sampling);
    expect(await generator.generate(prompts, sampling)).toEqual(a);
    expect(idsOf(await generator.generate(prompts, { ...sampling, seed: 6 }))).not.toEqual(idsOf(a));
  });

  it("does not let a row depend on its place, its neighbours or the size of the batch", async () => {
    const expected = idsOf(await generator.generate(prompts, sampling));
    for (const batchSize of [1, 2, 3]) {
      const completions = await generator.generate(prompts, { ...sampling, batchSize });
      expect(idsOf(completions)).toEqual(expected);
      expect(completions.map((c) => c.prompt)).toEqual(prompts.map((_, i) => i));
    }
  });

  it.each([
    ["shared", 1],
    ["copied", 1000],
  ])("refills places as rows of different budgets end, with %s prompts", async (_, sharedFrom) => {
    const generator = createGenerator(engine, model.config, unflatten(model.weights), { sharedFrom });
    const rows = prompts.map((ids, i) => ({ ids, maxNewTokens: 1 + ((i * 5) % 9) }));
    const whole = await generator.generate(prompts, { ...sampling, samples: 3 });
    const parts = await generator.generate(rows, { ...sampling, samples: 3, batchSize: 6 });
    expect(parts.map((c) => [c.prompt, c.sample])).toEqual(whole.map((c) => [c.prompt, c.sample]));
    for (const [i, { ids, prompt, finishReason }] of parts.entries()) {
      expect(ids).toEqual(whole[i]!.ids.slice(0, rows[prompt]!.maxNewTokens));
      expect(finishReason).toBe("length");
    }
    // The first sample draws what a single one would.
    const single = await generator.generate(prompts, sampling);
    expect(idsOf(whole.filter((c) => c.sample === 0))).toEqual(idsOf(single));
    expect(new Set(whole.slice(0, 3).map((c) => `${c.ids}`)).size).toBe(3);
    await generator.dispose();
  });

  it("reports the log-probabilities of a full forward pass at the temperature", async () => {
    const forward = await plainForward(engine, model);
    const options = { ...sampling, temperature: 0.7, topK: 10, repetitionPenalty: 1.3 };
    for (const { prompt, ids, logprobs, sampledLogprobs } of await generator.generate(prompts, options)) {
      const context = prompts[prompt] as number[];
      const rows = await forward([...context, ...ids]);
      for (const [t, id] of ids.entries()) {
        const heated = Array.from(rows[context.length + t - 1] as Float32Array, (x) => x / 0.7);
        const total = Math.log(heated.reduce((n, x) => n + Math.exp(x), 0));
        expect(logprobs[t]).toBeCloseTo((heated[id] as number) - total, 3);
        expect(sampledLogprobs[t]).toBeLessThanOrEqual(1e-6);
      }
    }
  });

  it("ends at an end-of-text id, which stays among the ids", async () => {
    const [free] = await generator.generate([prompts[0]!], sampling);
    const eos = free!.ids[4] as number;
    const [ended] = await generator.generate([prompts[0]!], { ...sampling, eosTokenIds: [eos] });
    expect(ended!.ids).toEqual(free!.ids.slice(0, free!.ids.indexOf(eos) + 1));
    expect(ended!.finishReason).toBe("eos");
    const own = await generator.generate([{ ids: prompts[0]!, eosTokenIds: [] }], {
      ...sampling,
      eosTokenIds: [eos],
    });
    expect(own[0]!.ids).toEqual(free!.ids);
  });

  it("ends at a stop string, keeps its tokens and cuts its text", async () => {
    const [free] = await generator.generate([prompts[0]!], { ...sampling, tokenizer: letters });
    const stop = free!.text!.slice(3, 6);
    const at = free!.text!.indexOf(stop);
    const [ended] = await generator.generate([prompts[0]!], {
      ...sampling,
      tokenizer: letters,
      stop: [stop],
    });
    expect(ended).toMatchObject({ finishReason: "stop", text: free!.text!.slice(0, at) });
    expect(ended!.ids).toEqual(free!.ids.slice(0, at + 3));
  });

  it("takes prompts from an asynchronous source as places become free", async () => {
    async function* source() {
      for (const prompt of prompts) {
        await Promise.resolve();
        yield prompt;
      }
    }
    const completions = await generator.generate(source(), { ...sampling, batchSize: 2 });
    expect(idsOf(completions)).toEqual(idsOf(await generator.generate(prompts, sampling)));
  });

  it("stops at the end of the context", async () => {
    const config = configOf("gpt2", {
      vocabSize: 20,
      hiddenSize: 8,
      numLayers: 1,
      numHeads: 2,
      maxPositions: 8,
    });
    const small = createGenerator(engine, config, unflatten(initialParameters(config, 1)));
    const [row] = await small.generate([[1, 2, 3]], { eosTokenIds: [], maxNewTokens: 100 });
    expect(row).toMatchObject({ finishReason: "length" });
    expect(row!.ids).toHaveLength(5);
    await expect(small.generate([[1, 2, 3, 4, 5, 6, 7, 8]])).rejects.toThrow(
      /8 tokens, and the context .* is 8/,
    );
    await small.dispose();
  });

  it.each([
    [[[]], {}, /prompt 1 is empty/],
    [[[1], [1, 99]], {}, /prompt 2 has the id 99/],
    [[[1]], { temperature: 0 }, /temperature must be above 0/],
    [[[1]], { topP: 0 }, /topP must be/],
    [[[1]], { samples: 0 }, /samples must be/],
    [[[1]], { stop: ["x"] }, /stop needs a tokenizer/],
  ])("refuses %j with %j", async (bad, options, message) => {
    await expect(generator.generate(bad, options)).rejects.toThrow(message);
  });

  it("ends when it is aborted", async () => {
    const controller = new AbortController();
    function* endless() {
      for (let i = 0; ; i++) {
        if (i === 20) controller.abort();
        yield [3 + (i % 40)];
      }
    }
    const options = { ...sampling, batchSize: 4, signal: controller.signal };
    await expect(generator.generate(endless(), options)).rejects.toThrow(/abort/i);
  });
});

describe("stream", () => {
  it("yields every token in the order of drawing, with text that joins to the whole", async () => {
    const whole = await generator.generate(prompts, { ...sampling, tokenizer: letters });
    const events: TokenEvent[] = [];
    for await (const event of generator.stream(prompts, { ...sampling, tokenizer: letters }))
      events.push(event);
    for (const { prompt, ids, text } of whole) {
      const own = events.filter((e) => e.prompt === prompt);
      expect(own.map((e) => e.token)).toEqual(ids);
      expect(own.map((e) => e.text).join("")).toBe(text);
      expect(own.map((e) => e.done)).toEqual(ids.map((_, i) => i === ids.length - 1));
    }
  });

  it("never shows a part of a stop string", async () => {
    const options = { ...sampling, tokenizer: letters };
    const [free] = await generator.generate([prompts[0]!], options);
    const stop = free!.text!.slice(4, 8);
    let shown = "";
    for await (const { text } of generator.stream([prompts[0]!], { ...options, stop: [stop] })) shown += text;
    expect(shown).toBe(free!.text!.slice(0, free!.text!.indexOf(stop)));
  });

  it("can be left early", async () => {
    let count = 0;
    for await (const _ of generator.stream(prompts, { ...sampling, maxNewTokens: 400 }))
      if (++count === 3) break;
    expect(count).toBe(3);
  });
});

describe("weights in 8 bits", () => {
  it.each(["gpt2", "llama", "llama-bias"])("give nearly the same log-probabilities (%s)", async (name) => {
    const { config, weights } = await tinyModel(name);
    const small = createGenerator(engine, config, unflatten(weights), { int8: true });
    const forward = await plainForward(engine, { config, weights });
    const completions = await small.generate(prompts, sampling);
    await small.dispose();
    let worst = 0;
    for (const { prompt, ids, logprobs } of completions) {
      const context = prompts[prompt] as number[];
      const rows = await forward([...context, ...ids]);
      for (const [t, id] of ids.entries())
        worst = Math.max(
          worst,
          Math.abs((logprobs[t] as number) - (rows[context.length + t - 1] as Float32Array)[id]!),
        );
    }
    expect(worst).toBeGreaterThan(0);
    expect(worst).toBeLessThan(0.4);
  });
});
