import { existsSync, readFileSync } from "node:fs";
import { afterAll, describe, expect, it } from "vitest";
import { createEngine } from "../graph/node.ts";
import { loadModel } from "../models/load.ts";
import { perplexity, tokenNll, windowsOf } from "./perplexity.ts";

const golden = JSON.parse(readFileSync("test/parity/golden/perplexity.json", "utf8"));
const stories = "../shared/data/tinystories-656k";
const engine = await createEngine({ threads: 1 });
afterAll(() => engine.dispose());

describe("perplexity", () => {
  it("windows count every token but the first exactly once, with half a window before it", () => {
    for (let length = 0; length < 60; length++)
      for (const context of [2, 3, 8, 9]) {
        const counted: number[] = [];
        for (const { begin, end, from } of windowsOf(length, context)) {
          expect(end - begin).toBeLessThanOrEqual(context);
          for (let at = from; at < end; at++) {
            counted.push(at);
            expect(at - begin).toBeGreaterThanOrEqual(begin === 0 ? 1 : Math.floor(context / 2));
          }
        }
        expect(counted).toEqual(Array.from({ length: Math.max(0, length - 1) }, (_, i) => i + 1));
      }
  });

  it("per-token values are those of transformers, over several windows and rows of different lengths", async () => {
    const model = await loadModel("test/parity/golden/models/llama");

    for (const context of [16, 15]) {
      const rows = golden.windows.filter((row: { context: number }) => row.context === context);
      const found = await tokenNll(
        model,
        rows.map(({ ids }: { ids: number[] }) => ids),
        { engine, contextLength: context },
      );
      for (const [i, { nll }] of found.entries()) {
        expect(nll.length).toBe(rows[i].nll.length);
        for (const [at, value] of nll.entries()) expect(value).toBeCloseTo(rows[i].nll[at], 4);
      }
    }
  });

  it("refuses a window beyond the context, and texts without two tokens", async () => {
    const model = await loadModel("test/parity/golden/models/llama");
    await expect(tokenNll(model, [[1, 2]], { engine, contextLength: 10_000 })).rejects.toThrow(
      /a window of 2 to \d+/,
    );
    await expect(tokenNll(model, [[1], []], { engine })).rejects.toThrow(/at least two tokens/);
    await expect(perplexity(model, ["x"], { engine })).rejects.toThrow(/needs a tokenizer/);
  });

  it.skipIf(!existsSync(stories))(
    "a real model and tokenizer give ids and values of transformers",
    async () => {
      const { text, ids, nll } = golden.text;
      const found = await perplexity(await loadModel(stories), [text], { engine });
      expect(found.rows[0]?.ids).toEqual(ids);
      for (const [at, value] of (found.rows[0]?.nll ?? []).entries()) expect(value).toBeCloseTo(nll[at], 3);
      expect(found.tokens).toBe(nll.length);
      const mean = nll.reduce((a: number, b: number) => a + b, 0) / nll.length;
      expect(found.perplexity / Math.exp(mean)).toBeCloseTo(1, 4);
    },
  );
});
