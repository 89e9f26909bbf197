import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type HostArray, hostArray } from "../../graph/array.ts";
import { configOf } from "../config/config.ts";
import { CheckpointError } from "../errors.ts";
import { checkTensors, readCheckpoint, writeCheckpoint } from "./checkpoint.ts";

const config = configOf("llama", {
  vocabSize: 8,
  hiddenSize: 4,
  numLayers: 1,
  numHeads: 2,
  maxPositions: 16,
  eosTokenId: 2,
});
const tensors: Record<string, HostArray> = {
  "model.embed_tokens.weight": hostArray(
    "float32",
    [8, 4],
    Array.from({ length: 32 }, (_, i) => i / 8),
  ),
  "model.norm.weight": hostArray("float32", [4], [1, 2, 3, 4]),
  "lm_head.weight": hostArray(
    "float32",
    [8, 4],
    Array.from({ length: 32 }, (_, i) => -i),
  ),
};
const contents = {
  config,
  tensors,
  tokenizerJson: { version: "1.0" },
  tokenizerConfig: { model_max_length: 1e30, chat_template: "old" },
  chatTemplate: "{{ messages }}",
  generationConfig: { eos_token_id: [3, 2] },
};

const bytesOf = ({ data }: HostArray) => Buffer.from(data.buffer, data.byteOffset, data.byteLength);

let root: string;
let dir: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "attune-checkpoint-"));
  dir = join(root, "runs", "model");
});
afterEach(() => rm(root, { recursive: true, force: true }));

describe("a checkpoint folder", () => {
  it("reads back as it was written, end-of-text ids merged", async () => {
    await writeCheckpoint(dir, contents);
    const read = await readCheckpoint(dir);
    expect(read.tensors).toEqual(tensors);
    expect(read.config).toMatchObject({ family: "llama", eosTokenIds: [3, 2] });
    expect(read.tokenizerJson).toEqual(contents.tokenizerJson);
    expect(read.chatTemplate).toBe("{{ messages }}");
    expect(read.tokenizerConfig?.chat_template).toBe("{{ messages }}");
    expect(read.rawConfig).toMatchObject({ dtype: "float32", torch_dtype: "float32" });
    expect(read.files.map((file) => file.slice(dir.length + 1)).sort()).toEqual((await readdir(dir)).sort());
    expect(await readdir(join(root, "runs"))).toEqual(["model"]);
  });

  it("keeps huge integers as integers", async () => {
    await writeCheckpoint(dir, contents);
    const text = await readFile(join(dir, "tokenizer_config.json"), "utf8");
    expect(text).toContain('"model_max_length": 1000000000000000019884624838656,');
  });

  it("splits into shards with an index, and reports progress", async () => {
    await writeCheckpoint(dir, contents, { maxShardBytes: 150 });
    expect((await readdir(dir)).filter((name) => name.startsWith("model"))).toEqual([
      "model-00001-of-00002.safetensors",
      "model-00002-of-00002.safetensors",
      "model.safetensors.index.json",
    ]);
    const seen: [number, number][] = [];
    const read = await readCheckpoint(dir, { onProgress: (done, total) => seen.push([done, total]) });
    expect(read.tensors).toEqual(tensors);
    const [done, total] = seen.at(-1) as [number, number];
    expect(done).toBe(total);
  });

  it.each(["float16", "bfloat16"] as const)("stores %s and reads float32", async (dtype) => {
    await writeCheckpoint(dir, contents, { dtype });
    const read = await readCheckpoint(dir);
    expect(read.tensors).toEqual(tensors);
    expect(read.rawConfig.dtype).toBe(dtype);
  });

  it("takes the default one of several chat templates", async () => {
    const chat_template = [
      { name: "tool_use", template: "a" },
      { name: "default", template: "b" },
    ];
    await writeCheckpoint(dir, { config, tensors, tokenizerConfig: { chat_template } });
    expect((await readCheckpoint(dir)).chatTemplate).toBe("b");
  });
});

describe("writing over an existing folder", () => {
  it("replaces the model, leaves no old shard, and keeps what is not the model's", async () => {
    await writeCheckpoint(dir, contents, { maxShardBytes: 150 });
    await writeFile(join(dir, "README.md"), "mine");
    await writeCheckpoint(dir, { config, tensors });
    expect((await readdir(dir)).sort()).toEqual(["README.md", "config.json", "model.safetensors"]);
    expect(await readdir(join(root, "runs"))).toEqual(["model"]);
  });

  it("leaves the old folder untouched when writing fails", async () => {
    await writeCheckpoint(dir, contents);
    const full: HostArray = {
      dtype: "float32",
      shape: [4],
      get data(): Float32Array<ArrayBuffer> {
        throw Object.assign(new Error("write"), { code: "ENOSPC" });
      },
    };
    const attempt = writeCheckpoint(dir, { config, tensors: { "model.norm.weight": full } });
    await expect(attempt).rejects.toThrow(/the disk is full; nothing was changed/);
    expect((await readCheckpoint(dir)).tensors).toEqual(tensors);
    expect(await readdir(join(root, "runs"))).toEqual(["model"]);
  });

  it("fails at once where no folder can be made", async () => {
    const attempt = writeCheckpoint("/proc/attune/model", contents);
    await expect(attempt).rejects.toThrow(/^\/proc\/attune\/model: .*could not be written/);
  });

  it("refuses a file, and a folder that holds something else", async () => {
    await mkdir(dir, { recursive: true });
    await writeFile(join(dir, "thesis.tex"), "");
    await expect(writeCheckpoint(dir, contents)).rejects.toThrow(/holds something else than a model/);
    await expect(writeCheckpoint(join(dir, "thesis.tex"), contents)).rejects.toThrow(CheckpointError);
    expect(await readdir(dir)).toEqual(["thesis.tex"]);
  });
});

describe("a damaged folder", () => {
  const weights = () => join(dir, "model.safetensors");
  it.each([
    ["is absent", () => rm(dir, { recursive: true }), /a model folder is required, there is none/],
    ["has no config.json", () => rm(join(dir, "config.json")), /config.json is missing/],
    [
      "has half a config.json",
      () => truncate(join(dir, "config.json"), 40),
      /config.json: not JSON, .*truncated/,
    ],
    ["has half a tokenizer.json", () => truncate(join(dir, "tokenizer.json"), 4), /tokenizer.json: not JSON/],
    ["has no weights", () => rm(weights()), /model.safetensors and model.safetensors.index.json are missing/],
    ["has truncated weights", () => truncate(weights(), 300), /truncated, download it again/],
    ["has empty weights", () => truncate(weights(), 0), /at least 8 bytes, got 0/],
    [
      "has pickled weights only",
      async () => {
        await rm(weights());
        await writeFile(join(dir, "pytorch_model.bin"), "");
      },
      /only in pytorch_model.bin, a Python pickle, .*safe_serialization=True/,
    ],
    [
      "lacks a shard",
      async () => {
        await writeCheckpoint(dir, contents, { maxShardBytes: 150 });
        await rm(join(dir, "model-00002-of-00002.safetensors"));
      },
      /1 of 2 shards are missing: model-00002-of-00002/,
    ],
    [
      "has an index that points outside",
      async () => {
        await rm(weights());
        await writeFile(
          join(dir, "model.safetensors.index.json"),
          '{"weight_map": {"x": "../x.safetensors"}}',
        );
      },
      /is not the name of a file/,
    ],
  ])("is refused when it %s", async (_, damage, message) => {
    await writeCheckpoint(dir, contents);
    await damage();
    await expect(readCheckpoint(dir)).rejects.toThrow(CheckpointError);
    await expect(readCheckpoint(dir)).rejects.toThrow(message);
  });
});

const real = "../shared/data/tinystories-656k";
describe.skipIf(!existsSync(real))(`the 656k TinyStories model (${real})`, () => {
  it("is read, its embedding found under the head's name, and written back", async () => {
    const read = await readCheckpoint(real);
    expect(read.config).toMatchObject({
      numKeyValueHeads: 4,
      tieEmbeddings: true,
      eosTokenIds: [2],
      bosTokenId: 1,
    });
    const shapes = Object.fromEntries(Object.entries(read.tensors).map(([name, { shape }]) => [name, shape]));
    const { "lm_head.weight": embedding = [], ...others } = shapes;
    const fitted = checkTensors({ "model.embed_tokens.weight": embedding, ...others }, read.tensors);
    expect(fitted["model.embed_tokens.weight"]).toBe(read.tensors["lm_head.weight"]);
    await writeCheckpoint(dir, { ...read, tensors: fitted });
    const again = (await readCheckpoint(dir)).tensors;
    expect(Object.keys(again).sort()).toEqual(Object.keys(fitted).sort());
    for (const [name, array] of Object.entries(fitted))
      expect(bytesOf(again[name] as HostArray).equals(bytesOf(array)), name).toBe(true);
  });
});
