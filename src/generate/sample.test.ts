/** Draws inside the graph against distributions computed by hand. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  compile,
  type HostArray,
  hostArray,
  type LocalEngine,
  type Tensor,
  type Tree,
} from "../graph/index.ts";
import { uniform } from "../graph/random.ts";
import { openEngine } from "./generate.fixture.ts";
import { drawTokens, invert, type SamplingShape, samplingSpecs } from "./sample.ts";

let engine: LocalEngine;
beforeAll(async () => {
  engine = await openEngine();
});
afterAll(() => engine.dispose());

const plain: SamplingShape = {
  greedy: false,
  temperature: false,
  topK: undefined,
  topP: false,
  minP: false,
  repetitionPenalty: false,
};

const logits = [2, 1, 0.5, 0, -1, -2, 1.5];
const size = logits.length;
const draws = 6000;

/** Softmax of scores, 0 where they are not kept. */
function probabilities(scores: readonly number[], keep: (i: number) => boolean = () => true): number[] {
  const e = scores.map((x, i) => (keep(i) ? Math.exp(x) : 0));
  const total = e.reduce((a, b) => a + b);
  return e.map((x) => x / total);
}

async function draw(shape: Partial<SamplingShape>, inputs: Record<string, HostArray> = {}) {
  const full = { ...plain, ...shape };
  const program = compile(
    (args) => {
      const { tokens, logprobs, sampledLogprobs } = drawTokens(
        args.logits as Tensor,
        full,
        args as Record<string, Tensor>,
      );
      return { tokens, logprobs, sampledLogprobs };
    },
    [{ logits: { dtype: "float32", shape: ["M", size] }, ...samplingSpecs(full) }],
  );
  const step = await engine.load(program);
  const rows = Float32Array.from({ length: draws * size }, (_, i) => logits[i % size] as number);
  const uniforms = Array.from({ length: draws }, (_, i) => uniform(3, i));
  const args: Tree<HostArray> = {
    logits: hostArray("float32", [draws, size], rows),
    uniforms: hostArray("float32", [draws], uniforms),
    ...inputs,
  };
  const out = (await engine.run(step, [args])) as Record<string, HostArray>;
  const tokens = Array.from(out.tokens!.data, Number);
  const frequencies = Array(size).fill(0);
  for (const token of tokens) frequencies[token] += 1 / draws;
  return { tokens, frequencies, logprobs: out.logprobs!.data, sampled: out.sampledLogprobs!.data };
}

const number = (x: number) => hostArray("float32", [], [x]);

/** Frequencies lie within five standard errors of the probabilities, and what has probability 0 never occurs. */
function expectDistribution(frequencies: readonly number[], p: readonly number[]) {
  for (const [i, f] of frequencies.entries()) {
    const expected = p[i] as number;
    if (expected === 0) expect(f).toBe(0);
    else
      expect(Math.abs(f - expected)).toBeLessThan(5 * Math.sqrt((expected * (1 - expected)) / draws) + 1e-9);
  }
}

describe("drawTokens", () => {
  const before = probabilities(logits);
  const expectLogprobs = (got: ArrayLike<number | bigint>, tokens: number[], p: readonly number[]) => {
    for (let i = 0; i < 100; i++) expect(Number(got[i])).toBeCloseTo(Math.log(p[tokens[i]!]!), 4);
  };

  it("draws with the probabilities of the softmax", async () => {
    const { tokens, frequencies, logprobs, sampled } = await draw({});
    expectDistribution(frequencies, before);
    expectLogprobs(logprobs, tokens, before);
    expectLogprobs(sampled, tokens, before);
  });

  it("divides by the temperature, in the log-probability too", async () => {
    const p = probabilities(logits.map((x) => x / 0.5));
    const { tokens, frequencies, logprobs } = await draw(
      { temperature: true },
      { inverse_temperature: number(2) },
    );
    expectDistribution(frequencies, p);
    expectLogprobs(logprobs, tokens, p);
  });

  it.each([
    { name: "top-k", shape: { topK: 3 }, inputs: {}, kept: [0, 1, 6] },
    // 0.376, 0.228, 0.138, ...: the third is the first to reach 0.7.
    { name: "top-p", shape: { topP: true }, inputs: { top_p: number(0.7) }, kept: [0, 1, 6] },
    { name: "a tiny top-p", shape: { topP: true }, inputs: { top_p: number(0.01) }, kept: [0] },
    {
      name: "top-k and top-p",
      shape: { topK: 2, topP: true },
      inputs: { top_p: number(0.99) },
      kept: [0, 6],
    },
    // exp(-1) = 0.37: scores of at least 1 pass 0.3.
    { name: "min-p", shape: { minP: true }, inputs: { log_min_p: number(Math.log(0.3)) }, kept: [0, 1, 6] },
  ])(
    "$name keeps what transformers keeps and leaves `logprobs` as they were",
    async ({ shape, inputs, kept }) => {
      const p = probabilities(logits, (i) => kept.includes(i));
      const { tokens, frequencies, logprobs, sampled } = await draw(
        shape,
        inputs as Record<string, HostArray>,
      );
      expectDistribution(frequencies, p);
      expectLogprobs(logprobs, tokens, before);
      expectLogprobs(sampled, tokens, p);
    },
  );

  it("penalises what occurred: positive scores are divided, negative ones multiplied, padding is ignored", async () => {
    const p = probabilities(logits.map((x, i) => (i === 0 ? x / 2 : i === 4 ? x * 2 : x)));
    const ids = Array.from({ length: draws }, () => [0, 4, 0, 0]).flat();
    const { tokens, frequencies, logprobs, sampled } = await draw(
      { repetitionPenalty: true },
      {
        penalty: number(2),
        seen: hostArray("int64", [draws, 4], ids),
        seen_count: hostArray("int64", [draws], Array(draws).fill(2)),
      },
    );
    expectDistribution(frequencies, p);
    expectLogprobs(logprobs, tokens, before);
    expectLogprobs(sampled, tokens, p);
  });

  it("takes the most likely token when greedy, with certainty", async () => {
    const { tokens, logprobs, sampled } = await draw({ greedy: true });
    expect(new Set(tokens)).toEqual(new Set([0]));
    expectLogprobs(logprobs, tokens, before);
    expect(Number(sampled[0])).toBe(0);
  });
});

describe("invert", () => {
  it("never takes a token of weight 0, at either end of the interval and in any block", async () => {
    const width = 300;
    const program = compile(
      (a) => invert(a.w as Tensor, a.u as Tensor),
      [{ w: { dtype: "float32", shape: ["M", width] }, u: { dtype: "float32", shape: ["M"] } }],
    );
    const step = await engine.load(program);
    const us = [1e-9, 0.25, 0.5, 0.75, 1 - 2 ** -24];
    const weights = new Float32Array(width);
    for (const i of [17, 18, 40, 255]) weights[i] = i === 40 ? 1e-7 : 0.7;
    const w = Float32Array.from({ length: us.length * width }, (_, i) => weights[i % width] as number);
    const out = await engine.run(step, [
      { w: hostArray("float32", [us.length, width], w), u: hostArray("float32", [us.length], us) },
    ]);
    expect(Array.from((out.tokens as HostArray).data, Number)).toEqual([17, 17, 18, 255, 255]);
  });
});
