import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type * as Ort from "onnxruntime-common";
import * as node from "onnxruntime-node";
import * as web from "onnxruntime-web";
import { afterAll, beforeAll, expect, it } from "vitest";
import { goldenFolder } from "../families/parity.fixture.ts";
import { loadModel, type Model } from "../load.ts";
import { saveOnnx } from "./folder.ts";

let scratch: string;
let model: Model;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "attune-export-"));
  model = await loadModel(join(goldenFolder, "models", "llama"));
});
afterAll(() => rm(scratch, { recursive: true }));

const configOf = async (dir: string) => JSON.parse(await readFile(join(dir, "config.json"), "utf8"));

it("writes the files that Transformers.js asks for, and tells it which of them there are", async () => {
  const dir = join(scratch, "floats");
  expect(Object.keys(await saveOnnx(model, dir))).toEqual(["model.onnx"]);
  expect(await readdir(join(dir, "onnx"))).toEqual(["model.onnx"]);
  expect(await configOf(dir)).toMatchObject({
    model_type: "llama",
    num_key_value_heads: 2,
    head_dim: 8,
    "transformers.js_config": { dtype: "fp32" },
  });
  const both = join(scratch, "both");
  const options = { int8: true, inlineBytes: 10_000, chunkBytes: 20_000 };
  const files = Object.keys(await saveOnnx(model, both, options));
  expect((await readdir(join(both, "onnx"))).sort()).toEqual(files.toSorted());
  const { use_external_data_format: chunks } = (await configOf(both))["transformers.js_config"];
  expect(chunks["model.onnx"]).toBe(files.filter((name) => name.startsWith("model.onnx_data")).length);
  expect(chunks["model.onnx"]).toBeGreaterThan(1);
});

it("replaces an export, keeps a checkpoint and other files beside it, and refuses a folder of another kind", async () => {
  const dir = join(scratch, "beside");
  await model.save(dir);
  await writeFile(join(dir, "README.md"), "mine");
  await saveOnnx(model, dir, { int8: true });
  await saveOnnx(model, dir);
  expect((await readdir(dir)).sort()).toEqual(["README.md", "config.json", "model.safetensors", "onnx"]);
  expect(await readdir(join(dir, "onnx"))).toEqual(["model.onnx"]);
  expect((await loadModel(dir)).parameters).toEqual(model.parameters);
  const other = join(scratch, "other");
  await mkdir(other);
  await writeFile(join(other, "thesis.txt"), "precious");
  await expect(saveOnnx(model, other)).rejects.toThrow(/something else than a model/);
  expect(await readdir(other)).toEqual(["thesis.txt"]);
});

it("the WebAssembly runtime of browsers computes what the one of Node does, in floats and in 8 bits", async () => {
  const dir = join(scratch, "web");
  await saveOnnx(model, dir, { int8: true });
  web.env.wasm.numThreads = 1;
  const ids = [5, 9, 3, 17, 40, 21];
  const logits = async (ort: typeof Ort, provider: string, bytes: Uint8Array) => {
    const session = await ort.InferenceSession.create(bytes, { executionProviders: [provider] });
    const int64 = (values: readonly number[]) =>
      new ort.Tensor("int64", BigInt64Array.from(values, BigInt), [1, values.length]);
    const past = session.inputNames.filter((name) => name.startsWith("past"));
    const out = await session.run({
      ...Object.fromEntries(past.map((name) => [name, new ort.Tensor("float32", [], [1, 2, 0, 8])])),
      input_ids: int64(ids),
      attention_mask: int64(ids.map(() => 1)),
      position_ids: int64(ids.map((_, i) => i)),
      num_logits_to_keep: new ort.Tensor("int64", [0n], []),
    });
    return (out.logits as Ort.Tensor).data as Float32Array;
  };
  for (const [file, tolerance] of [
    ["model.onnx", 1e-4],
    // The two runtimes may round a factor to neighbouring steps of 8 bits.
    ["model_quantized.onnx", 0.05],
  ] as const) {
    const bytes = new Uint8Array(await readFile(join(dir, "onnx", file)));
    const [here, there] = [await logits(node, "cpu", bytes), await logits(web, "wasm", bytes)];
    const largest = Math.max(...here.map(Math.abs));
    expect(Math.max(...here.map((x, i) => Math.abs(x - (there[i] as number))))).toBeLessThan(
      tolerance * largest,
    );
  }
});
