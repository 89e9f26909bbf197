import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Engine } from "../../graph/index.ts";
import { createEngine } from "../../graph/node.ts";
import { configOf, type Family } from "../../models/config/config.ts";
import { createModel, type Model, withParameters } from "../../models/load.ts";
import { withScoreHead } from "../../models/score-head.ts";
import { withNormalisation } from "../normalisation.ts";
import { createScorer } from "../scorer.ts";
import { createAttributor } from "./attribution.ts";

let engine: Engine;
beforeAll(async () => {
  engine = await createEngine({ threads: 1 });
});
afterAll(() => engine.dispose());

const sizes = { vocabSize: 20, hiddenSize: 16, numLayers: 1, numHeads: 2, maxPositions: 32 };
const judge = (family: Family, pooling: string): Model => {
  const base = createModel(configOf(family, sizes, { initializer_range: 0.4 }), 7);
  return withNormalisation(withScoreHead(base, { seed: 2, entries: { pooling } }), { mean: 0.3, std: 2 });
};
const rows = [
  [3, 5, 7, 9, 11],
  [2, 4],
  [1, 1, 8],
];

describe("leave one out", () => {
  it("is the difference of the scores with and without a token", async () => {
    const model = judge("llama", "last");
    const attributor = await createAttributor(engine, model);
    const found = await attributor.attribute(rows, "leave_one_out");
    const scorer = await createScorer(engine, model);
    for (const [r, row] of rows.entries())
      for (const t of row.keys()) {
        const [all, less] = await scorer.scores([row, row.filter((_, i) => i !== t)]);
        expect(found[r]?.[t]).toBeCloseTo((all as number) - (less as number), 4);
      }
    await scorer.dispose();
    await attributor.dispose();
  });
});

describe("gradient times input", () => {
  it.each([
    ["llama", "last"],
    ["gpt2", "mean"],
    ["bert", "cls"],
  ] as [Family, string][])(
    "is the score's derivative by a token's scale, by differences (%s, %s)",
    async (family, pooling) => {
      const model = judge(family, pooling);
      const attributor = await createAttributor(engine, model);
      const row = [3, 5, 7, 9]; // different tokens, so that a row of the embedding is one token's
      const [found] = await attributor.attribute([row, [2, 4]], "gradient");
      const name = Object.keys(model.parameters).find((key) =>
        /wte|embed_tokens|word_embeddings/.test(key),
      ) as string;
      const scaled = async (token: number, by: number): Promise<number> => {
        const table = model.parameters[name] as { dtype: "float32"; shape: number[]; data: Float32Array };
        const data = table.data.map((x, i) => (Math.floor(i / sizes.hiddenSize) === token ? x * by : x));
        const scorer = await createScorer(
          engine,
          withParameters(model, { ...model.parameters, [name]: { ...table, data } }),
        );
        const [score] = await scorer.scores([row]);
        await scorer.dispose();
        return score as number;
      };
      const step = 1e-2;
      for (const [t, token] of row.entries()) {
        const slope = ((await scaled(token, 1 + step)) - (await scaled(token, 1 - step))) / (2 * step);
        expect(found?.[t]).toBeCloseTo(slope, 2);
      }
      await attributor.dispose();
    },
  );

  it("of several scores is that of the one that is named, and else of their mean", async () => {
    const base = createModel(configOf("llama", sizes, { initializer_range: 0.4 }), 7);
    const model = withScoreHead(base, {
      numLabels: 2,
      entries: { id2label: { 0: "kind", 1: "true" }, label2id: { kind: 0, true: 1 } },
    });
    const of = async (head?: string) => {
      const attributor = await createAttributor(engine, model, head === undefined ? {} : { head });
      const [found] = await attributor.attribute([[3, 5, 7]], "gradient");
      await attributor.dispose();
      return found as number[];
    };
    const [kind, truth, mean] = [await of("kind"), await of("true"), await of()];
    for (const t of [0, 1, 2])
      expect(mean[t]).toBeCloseTo(((kind[t] as number) + (truth[t] as number)) / 2, 5);
    await expect(createAttributor(engine, model, { head: "helpful" })).rejects.toThrow(
      /there is no score helpful/,
    );
  });
});
