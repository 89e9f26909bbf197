import { existsSync } from "node:fs";
import { expect, it } from "vitest";
import { readRawRows } from "../data/node-files.ts";
import { readTexts } from "../data/node-texts.ts";
import { perplexity } from "../evaluate/perplexity.ts";
import { createEngine } from "../graph/node.ts";
import { loadModel } from "../models/load.ts";
import { sft } from "./sft.ts";

const model = "../shared/data/tinystories-656k";
const stories = "../shared/data/tinystories/tinystories_cased_2M.txt.gz";
const validation = "../shared/data/tinystories/tinystories_val_moe.txt.gz";
const isHere = [model, stories, validation].every((path) => existsSync(path));

it.skipIf(!isHere)(
  "a few steps on real stories lower the perplexity of a pretrained model on held-out ones",
  async () => {
    const base = await loadModel(model);
    const engine = await createEngine();
    try {
      const text = ((await readTexts(validation))[0] as string).slice(0, 20_000);
      const rows: Record<string, unknown>[] = [];
      for await (const { value } of readRawRows(stories, { separator: "<|endoftext|>" }))
        if (rows.push(value as Record<string, unknown>) === 300) break;
      const before = await perplexity(base, [text], { engine });
      const tuned = await sft({
        model: base,
        data: rows,
        engine,
        maxSteps: 20,
        batchSize: 12,
        learningRate: 1e-3,
        maxLength: 256,
      });
      const after = await perplexity(tuned.model, [text], { engine });
      expect(before.tokens).toBe(after.tokens);
      expect(after.perplexity).toBeLessThan(before.perplexity - 0.3);
    } finally {
      await engine.dispose();
    }
  },
  120_000,
);
