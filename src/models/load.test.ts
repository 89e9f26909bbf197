import { mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { encodeChat } from "./chat/chat-tokens.ts";
import { configOf } from "./config/config.ts";
import { addTokens, createModel, loadModel, type Model, modelOf, withChatTemplate } from "./load.ts";
import { trainBpe } from "./tokenizer/bpe-trainer.ts";
import { createTokenizer } from "./tokenizer/tokenizer.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "attune-load-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const trained = trainBpe(["a small text to begin with"], { vocabSize: 270 });
const tokenizer = createTokenizer({ tokenizer: trained.tokenizer, config: trained.config });
const config = (vocabSize: number, tieEmbeddings = true) =>
  configOf("llama", {
    vocabSize,
    hiddenSize: 8,
    numLayers: 1,
    numHeads: 2,
    maxPositions: 16,
    tieEmbeddings,
    eosTokenId: 0,
  });
const model = createModel(config(tokenizer.vocabSize), 3, tokenizer);
const embedding = ({ parameters }: Model) => parameters["model.embed_tokens.weight"];

describe("a model", () => {
  it("comes back from its folder as it was saved", async () => {
    const dir = join(folder, "saved");
    await withChatTemplate(model, "plain").save(dir);
    const loaded = await loadModel(dir);
    expect(loaded.parameters).toEqual(model.parameters);
    expect(loaded.config).toMatchObject({
      family: "llama",
      vocabSize: tokenizer.vocabSize,
      eosTokenIds: [0],
    });
    expect(loaded.tokenizer?.encode("a text")).toEqual(tokenizer.encode("a text"));
    expect(loaded.chatTemplate).toContain("generation");
  });

  it("is found below the folder of a run", async () => {
    const run = join(folder, "run");
    await mkdir(run);
    await model.save(join(folder, "model"));
    await rename(join(folder, "model"), join(run, "model"));
    expect((await loadModel(run)).parameters).toEqual(model.parameters);
  });

  it("is named by its checkpoints where a run has not ended, by its stages where it has several", async () => {
    const [run, pipeline] = [join(folder, "unfinished"), join(folder, "pipeline")];
    for (const step of [100, 20]) await model.save(join(run, "checkpoints", String(step), "model"));
    const [first, last] = [20, 100].map((step) => join(run, "checkpoints", String(step))) as [string, string];
    await expect(loadModel(run)).rejects.toThrow(`its checkpoints are ${first}, ${last}`);
    expect((await loadModel(last)).parameters).toEqual(model.parameters);
    await model.save(join(pipeline, "stages", "sft", "model"));
    await expect(loadModel(pipeline)).rejects.toThrow(`name one of them: ${join(pipeline, "stages", "sft")}`);
  });

  it("grows by added tokens: old rows stay, new rows are their mean, head and embedding alike", async () => {
    const apart = createModel(config(tokenizer.vocabSize, false), 3, tokenizer);
    const grown = addTokens(apart, ["<one>", "<two>"]);
    const rows = tokenizer.vocabSize;
    expect(grown.config).toMatchObject({ vocabSize: rows + 2, raw: { vocab_size: rows + 2 } });
    for (const name of ["model.embed_tokens.weight", "lm_head.weight"]) {
      const before = apart.parameters[name]?.data as Float32Array;
      const after = grown.parameters[name]?.data as Float32Array;
      expect(after.slice(0, before.length)).toEqual(before);
      const mean = before.filter((_, i) => i % 8 === 3).reduce((a, b) => a + b, 0) / rows;
      expect(after[(rows + 1) * 8 + 3]).toBeCloseTo(mean, 6);
    }
    await grown.save(join(folder, "grown"));
    expect((await loadModel(join(folder, "grown"))).tokenizer?.encode("<two>")).toEqual([rows + 1]);
  });

  it("keeps its embeddings where spare rows have room for added tokens", () => {
    const spare = createModel(config(tokenizer.vocabSize + 5), 3, tokenizer);
    expect(embedding(addTokens(spare, ["<one>"]))).toBe(embedding(spare));
  });

  it("with ChatML knows its tokens, and generation ends at the end of a turn", async () => {
    const chat = withChatTemplate(model, "chatml");
    await chat.save(join(folder, "chat"));
    const loaded = await loadModel(join(folder, "chat"));
    const end = loaded.tokenizer?.tokenToId("<|im_end|>");
    expect(loaded.config.eosTokenIds).toEqual([end, 0]);
    expect(loaded.tokenizer?.eosId).toBe(end);
    const { ids } = encodeChat(loaded.tokenizer as never, [{ role: "user", content: "a" }]);
    expect(ids).toContain(end);
  });

  it("is refused when its tokenizer has more tokens than it has rows", () => {
    expect(() => modelOf({ ...model, config: config(100) }, "small")).toThrow(
      /small: the tokenizer has \d+ tokens, the model's vocabulary 100: .*addTokens/,
    );
    expect(() => addTokens(modelOf({ config: model.config, parameters: model.parameters }), ["x"])).toThrow(
      /tokenizer is required/,
    );
  });
});
