/** The loop in the engine's thread: the same tokens and texts as here, events while it runs, an end from outside. */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Engine, unflatten } from "../graph/index.ts";
import { createEngine } from "../graph/node.ts";
import { configOf } from "../models/config/config.ts";
import { createModel } from "../models/load.ts";
import { createTokenizer } from "../models/tokenizer/tokenizer.ts";
import { createGenerator, type Generator, type TokenEvent } from "./index.ts";

const llama2 = JSON.parse(readFileSync("test/parity/golden/tokenizers/llama2.json", "utf8"));
// Of such files a Mistral drops a text's first space, any other model does not.
const files = { ...llama2, config: { ...llama2.config, add_prefix_space: false } };
const tokenizer = createTokenizer(files, { modelType: "mistral" });
const config = configOf("llama", {
  vocabSize: tokenizer.vocabSize,
  hiddenSize: 16,
  numLayers: 2,
  numHeads: 2,
  intermediateSize: 32,
  maxPositions: 2048,
});
const weights = unflatten(createModel(config, 1).parameters);
const start = tokenizer.bosId as number;
const texts = ["Once upon", "The dog", "", "Every day the old man"];
const prompts = texts.map((text) => [start, ...tokenizer.encode(text, { addSpecialTokens: false })]);
const settings = { eosTokenIds: [], maxNewTokens: 16, seed: 3, samples: 2, batchSize: 4, tokenizer };

describe.each([
  ["inside the graph", false],
  ["in the engine", true],
] as const)("generation in a worker, weights %s", (_, areResident) => {
  const engines: Engine[] = [];
  const open = async (worker: boolean): Promise<Generator> => {
    const engine = await createEngine({ worker, threads: 1 });
    engines.push(engine);
    return createGenerator(engine, config, areResident ? await engine.put(weights) : weights);
  };
  let here: Generator;
  let there: Generator;
  beforeAll(async () => {
    here = await open(false);
    there = await open(true);
  });
  afterAll(async () => {
    for (const engine of engines) await engine.dispose();
  });

  it("gives the completions of this thread", async () => {
    expect(await there.generate(prompts, settings)).toEqual(await here.generate(prompts, settings));
    const source = async function* () {
      yield* prompts;
    };
    const greedy = { ...settings, greedy: true, repetitionPenalty: 1.3, samples: 1 };
    expect(await there.generate(source(), greedy)).toEqual(await here.generate(source(), greedy));
  });

  it("stops at the texts of this thread", async () => {
    const [free] = await here.generate(prompts, settings);
    const stop = [free?.text?.slice(5, 8) as string];
    const expected = await here.generate(prompts, { ...settings, stop });
    expect(expected[0]?.finishReason).toBe("stop");
    expect(await there.generate(prompts, { ...settings, stop })).toEqual(expected);
    const rows = prompts.map((ids) => ({ ids, stop }));
    expect(await there.generate(rows, settings)).toEqual(expected);
  });

  it("streams the events of this thread", async () => {
    const events = async (generator: Generator) => {
      const seen: TokenEvent[] = [];
      for await (const event of generator.stream(prompts, settings)) seen.push(event);
      return seen;
    };
    const expected = await events(here);
    expect(await events(there)).toEqual(expected);
  });

  it("decodes as this thread does where that depends on the model's type", async () => {
    const short = { ...settings, maxNewTokens: 1, samples: 40 };
    const events: TokenEvent[] = [];
    for await (const event of there.stream([[start]], short)) events.push(event);
    const spaced = events.filter(({ token }) => tokenizer.idToToken(token)?.startsWith("▁"));
    expect(spaced.length).toBeGreaterThan(0);
    for (const { token, text } of spaced) expect(text).toBe(tokenizer.idToToken(token)?.slice(1));
  });

  it("streams while it runs, and leaving the stream ends the work", async () => {
    const long = { ...settings, maxNewTokens: 2000, samples: 1 };
    const started = performance.now();
    let count = 0;
    for await (const { done } of there.stream(prompts, long)) {
      expect(done).toBe(false);
      if (++count === 12) break;
    }
    const left = performance.now() - started;
    await there.generate(prompts, long);
    const whole = performance.now() - started - left;
    expect(left, `left after ${left} ms, the whole takes ${whole} ms`).toBeLessThan(whole / 2);
  });

  it("ends when it is aborted, with the caller's reason, and works on", async () => {
    const controller = new AbortController();
    const reason = new Error("enough");
    const long = { ...settings, maxNewTokens: 2000, signal: controller.signal };
    const work = there.generate(prompts, long);
    setTimeout(() => controller.abort(reason), 50);
    await expect(work).rejects.toBe(reason);
    await expect(there.generate(prompts, long)).rejects.toBe(reason);
    expect(await there.generate(prompts, settings)).toHaveLength(8);
  });

  it("reports what is wrong with a prompt as here", async () => {
    await expect(there.generate([[1], []], settings)).rejects.toMatchObject({
      name: "GenerateError",
      message: expect.stringMatching("prompt 2 is empty"),
    });
  });
});

it("collecting prompts for the thread ends when it is aborted", async () => {
  const engine = await createEngine({ worker: true, threads: 1 });
  const controller = new AbortController();
  function* endless() {
    for (let i = 0; ; i++) {
      if (i === 20) controller.abort();
      yield [3 + i];
    }
  }
  const work = createGenerator(engine, config, weights).generate(endless(), { signal: controller.signal });
  await expect(work).rejects.toThrow(/abort/i);
  await engine.dispose();
});
