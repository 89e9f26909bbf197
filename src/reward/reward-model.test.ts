import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createGenerator } from "../generate/index.ts";
import { openLocalEngine } from "../graph/engine/node-providers.ts";
import { compile, type HostArray, hostArray, type LocalEngine, unflatten } from "../graph/index.ts";
import { configOf, type Family } from "../models/config/config.ts";
import { arrayOf, expectClose, goldenModel } from "../models/families/parity.fixture.ts";
import { createModel, type Model } from "../models/load.ts";
import { parameterSpecs, tokenSpec } from "../models/model.ts";
import { withScoreHead } from "../models/score-head.ts";
import { type Pooling, poolingOf, poolings } from "./pooling.ts";
import { rewardsOf, rowBatchSpec } from "./reward-model.ts";
import { paddedRows } from "./rows.ts";

let engine: LocalEngine;
beforeAll(async () => {
  engine = await openLocalEngine({ threads: 1 });
});
afterAll(() => engine.dispose());

const sizes = { vocabSize: 48, hiddenSize: 16, numLayers: 2, numHeads: 2, maxPositions: 64, eosTokenId: 2 };
/** Large weights, so that scores differ. */
const model = (family: Family, pooling?: Pooling): Model =>
  withScoreHead(createModel(configOf(family, sizes, { initializer_range: 0.3 }), 3), {
    seed: 5,
    entries: pooling ? { pooling } : {},
  });

type Scored = Pick<Model, "config" | "parameters">;
const numbers = (x: unknown) => [...((x as HostArray).data as Float32Array)];

async function scoresOfRows({ config, parameters }: Scored, batch: Record<string, HostArray>) {
  const program = compile((params, batch) => ({ scores: rewardsOf(config, params, batch as never) }), [
    parameterSpecs(config),
    rowBatchSpec(),
  ] as const);
  return numbers((await engine.run(await engine.load(program), [unflatten(parameters), batch])).scores);
}

async function scoresOfMasked(
  { config, parameters }: Scored,
  rows: readonly (readonly number[])[],
  side: "left" | "right",
  width: number,
  padding: number,
) {
  const line = (row: readonly number[], fill: (id: number) => number, pad: number) => {
    const rest = Array<number>(width - row.length).fill(pad);
    return side === "left" ? [...rest, ...row.map(fill)] : [...row.map(fill), ...rest];
  };
  const array = (fill: (id: number) => number, pad: number) =>
    hostArray(
      "int64",
      [rows.length, width],
      rows.flatMap((row) => line(row, fill, pad)),
    );
  const program = compile((params, batch) => ({ scores: rewardsOf(config, params, batch as never) }), [
    parameterSpecs(config),
    { input_ids: tokenSpec(), attention_mask: tokenSpec() },
  ] as const);
  const batch = { input_ids: array((id) => id, padding), attention_mask: array(() => 1, 0) };
  return numbers((await engine.run(await engine.load(program), [unflatten(parameters), batch])).scores);
}

const rows = [[5, 9, 2, 30, 2], [7], [11, 40, 8, 2, 2, 2, 19, 4]];

describe.each([
  ["gpt2", undefined],
  ["llama", "last"],
  ["llama", "mean"],
  ["gpt_neo", undefined],
  ["bert", undefined],
  ["bert", "mean"],
  ["distilbert", "last"],
] as [Family, Pooling | undefined][])("a reward model on %s, pooling %s", (family, pooling) => {
  const made = model(family, pooling);

  it("gives a row the same score with padding on either side, whatever the padding is", async () => {
    const alone: number[] = [];
    for (const row of rows) alone.push(...(await scoresOfRows(made, paddedRows([row]))));
    expect(new Set(alone.map((x) => x.toFixed(3))).size).toBe(rows.length);
    for (const [side, width, padding] of [
      ["right", 8, 0],
      ["right", 13, 2], // the id of end-of-text, which stands in the rows too
      ["left", 8, 0],
      ["left", 13, 2],
    ] as const) {
      const found = await scoresOfMasked(made, rows, side, width, padding);
      for (const [i, score] of found.entries())
        expect(score, `${side} ${i}`).toBeCloseTo(alone[i] as number, 4);
    }
    const together = await scoresOfRows(made, paddedRows(rows));
    for (const [i, score] of together.entries()) expect(score).toBeCloseTo(alone[i] as number, 4);
  });

  it("reads what its pooling says", async () => {
    const other = async (change: (row: number[]) => number[]) => {
      const row = [5, 9, 12, 30, 3];
      const [a, b] = await scoresOfRows(made, paddedRows([row, change([...row])]));
      return Math.abs((a as number) - (b as number));
    };
    expect(await other((row) => row.with(-1, 31))).toBeGreaterThan(1e-4);
    expect(await other((row) => row.with(0, 31))).toBeGreaterThan(1e-4);
  });
});

it("end-of-text inside a row, which is also the padding, does not end it", async () => {
  const made = model("llama");
  const [first, second] = await scoresOfRows(
    made,
    paddedRows([
      [5, 2, 9, 2],
      [5, 2, 2, 2],
    ]),
  );
  expect(Math.abs((first as number) - (second as number))).toBeGreaterThan(1e-3);
  const [bare] = await scoresOfRows(made, paddedRows([[5, 2, 9]]));
  expect(Math.abs((first as number) - (bare as number))).toBeGreaterThan(1e-3);
});

it.each(["gpt2", "llama"])("%s: scores are those of transformers", async (name) => {
  const { golden, ...scored } = await goldenModel(`${name}-score`);
  const batch = { input_ids: arrayOf(golden, "input_ids"), lengths: hostArray("int64", [3], [12, 9, 5]) };
  const scores = await scoresOfRows(scored, batch);
  expectClose("scores", hostArray("float32", [3, 1], scores), arrayOf(golden, "logits"));
});

describe("pooling", () => {
  it("is the last token of a decoder, the first of an encoder, and what config.json says", () => {
    expect(poolings).toEqual(["last", "mean", "cls"]);
    expect(poolingOf(model("llama").config)).toBe("last");
    expect(poolingOf(model("bert").config)).toBe("cls");
    expect(poolingOf(model("bert", "mean").config)).toBe("mean");
  });

  it("refuses the first token of a decoder, and names that are none", () => {
    expect(() => poolingOf(model("llama", "cls").config)).toThrow(/cls needs an encoder.*choose last/);
    expect(() => poolingOf(model("llama", "max" as Pooling).config)).toThrow(/one of last, mean, cls/);
  });
});

it("a reward model is not asked for text", () => {
  const { config, parameters } = model("llama");
  expect(() => createGenerator(engine, config, unflatten(parameters))).toThrow(
    /a language model is required, this one has scores/,
  );
});

describe("a score head", () => {
  const base = createModel(configOf("gpt2", { ...sizes, hiddenSize: 400, numHeads: 4, numLayers: 1 }), 1);

  it("has no bias, and weights of N(0, 1/sqrt(C + 1)), not of 1/(C + 1)", () => {
    const { parameters, config } = withScoreHead(base, { seed: 2 });
    expect(Object.keys(parameters).filter((name) => !(name in base.parameters))).toEqual(["score.weight"]);
    const weights = [...(parameters["score.weight"] as HostArray<"float32">).data];
    expect(weights).toHaveLength(400);
    const std = Math.sqrt(weights.reduce((sum, w) => sum + w * w, 0) / weights.length);
    expect(std * Math.sqrt(401)).toBeGreaterThan(0.9);
    expect(std * Math.sqrt(401)).toBeLessThan(1.1);
    expect(config.numLabels).toBe(1);
    expect(config.raw.architectures).toEqual(["GPT2ForSequenceClassification"]);
  });

  it("has a padding id that transformers, which looks for it, does not take the end of text for", () => {
    const padding = (ids: Partial<Record<"bosTokenId" | "eosTokenId" | "padTokenId", number>>) => {
      const { config } = withScoreHead(createModel(configOf("llama", { ...sizes, ...ids })));
      expect(config.raw.pad_token_id).toBe(config.padTokenId);
      return config.padTokenId;
    };
    expect(padding({ bosTokenId: 1, eosTokenId: 2, padTokenId: 5 })).toBe(5);
    expect(padding({ bosTokenId: 1, eosTokenId: 2, padTokenId: 2 })).toBe(1);
    expect(padding({ bosTokenId: 1, eosTokenId: 2 })).toBe(1);
    expect(padding({ eosTokenId: 2 })).toBe(2); // there is no other
  });

  it("differs by seed, stays when the model has one, and can be drawn anew", () => {
    const head = ({ parameters }: Model) => (parameters["score.weight"] as HostArray).data;
    const one = withScoreHead(base, { seed: 2 });
    expect(head(withScoreHead(base, { seed: 3 }))).not.toEqual(head(one));
    expect(head(withScoreHead(one, { seed: 3 }))).toBe(head(one));
    expect(head(withScoreHead(one, { seed: 3, head: "random" }))).not.toEqual(head(one));
    expect(head(withScoreHead(one, { head: "zeros" }))).toEqual(new Float32Array(400));
  });

  it("keeps the pooler of an encoder, and draws one where its file has none", () => {
    const bert = createModel(configOf("bert", sizes), 1);
    const kept = withScoreHead(bert, { seed: 4 });
    expect(kept.parameters["bert.pooler.dense.weight"]).toBe(bert.parameters["bert.pooler.dense.weight"]);
    const { "bert.pooler.dense.weight": _, ...rest } = bert.parameters;
    const drawn = withScoreHead({ ...bert, parameters: rest }, { seed: 4 });
    expect(drawn.parameters["bert.pooler.dense.weight"]?.shape).toEqual([16, 16]);
    expect(drawn.parameters["classifier.weight"]?.shape).toEqual([1, 16]);
  });
});
