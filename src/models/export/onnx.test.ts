/** Exported graphs in ONNX Runtime: greedy tokens of left-padded rows, step by step with the cache, as `transformers` has them. */
import * as ort from "onnxruntime-node";
import { describe, expect, it } from "vitest";
import type { HostArray } from "../../graph/array.ts";
import type { ModelConfig } from "../config/config.ts";
import { arrayOf, goldenModel } from "../families/parity.fixture.ts";
import { exportOnnx, type OnnxFile } from "./onnx.ts";

const languageModels = [
  "gpt2",
  "llama",
  "llama-bias",
  "mistral",
  "qwen2",
  "qwen3",
  "gpt-neox",
  "gpt-neox-sequential",
  "gpt-neo",
];

async function sessionOf({ bytes, chunks }: OnnxFile): Promise<ort.InferenceSession> {
  const externalData = chunks.map((arrays, i) => ({
    path: `model.onnx_data${i === 0 ? "" : `_${i}`}`,
    data: Buffer.concat(
      arrays.map(({ data }) => new Uint8Array(data.buffer, data.byteOffset, data.byteLength)),
    ),
  }));
  return ort.InferenceSession.create(bytes, { intraOpNumThreads: 1, externalData });
}

const int64 = (rows: readonly (readonly number[])[]) =>
  new ort.Tensor("int64", BigInt64Array.from(rows.flat(), BigInt), [rows.length, rows[0]?.length ?? 0]);
const rowsOf = ({ shape, data }: HostArray): number[][] =>
  Array.from({ length: shape[0] as number }, (_, row) =>
    Array.from(data.slice(row * (shape[1] as number), (row + 1) * (shape[1] as number)), Number),
  );

/** As Transformers.js calls a decoder. */
async function greedy(
  session: ort.InferenceSession,
  config: ModelConfig,
  prompts: number[][],
  promptMask: number[][],
  steps: number,
  keep = 0n,
) {
  const empty = () =>
    new ort.Tensor("float32", [], [prompts.length, config.numKeyValueHeads, 0, config.headDim]);
  let past: Record<string, ort.Tensor> = Object.fromEntries(
    session.inputNames.filter((name) => name.startsWith("past")).map((name) => [name, empty()]),
  );
  let ids = prompts;
  let first: Float32Array | undefined;
  const mask = promptMask.map((row) => [...row]);
  const made: number[][] = prompts.map(() => []);
  for (let step = 0; step < steps; step++) {
    const positions = mask.map((row) => {
      let sum = 0;
      return row.map((m) => Math.max(0, (sum += m) - 1)).slice(-(ids[0]?.length ?? 0));
    });
    const out = await session.run({
      ...past,
      input_ids: int64(ids),
      attention_mask: int64(mask),
      position_ids: int64(positions),
      num_logits_to_keep: new ort.Tensor("int64", [keep], []),
    });
    const { data, dims } = out.logits as ort.Tensor & { data: Float32Array };
    first ??= data;
    const [, length, vocab] = dims as [number, number, number];
    ids = prompts.map((_, row) => {
      const start = ((row + 1) * length - 1) * vocab;
      const logits = data.subarray(start, start + vocab);
      return [logits.indexOf(Math.max(...logits))];
    });
    for (const [row, [id]] of ids.entries()) made[row]?.push(id as number);
    for (const row of mask) row.push(1);
    past = Object.fromEntries(
      Object.entries(out)
        .filter(([name]) => name.startsWith("present"))
        .map(([name, tensor]) => [name.replace("present", "past_key_values"), tensor as ort.Tensor]),
    );
  }
  return { made, first: first as Float32Array };
}

describe.each(languageModels)("%s as ONNX", (name) => {
  it("takes the greedy tokens of transformers, in rows padded on the left", async () => {
    const { config, parameters, golden } = await goldenModel(name);
    const session = await sessionOf(exportOnnx(config, parameters));
    const [prompts, mask] = [arrayOf(golden, "left.input_ids"), arrayOf(golden, "left.attention_mask")];
    for (const keep of [0n, 1n, 2n]) {
      const steps = keep === 2n ? 1 : 20;
      const { made, first } = await greedy(session, config, rowsOf(prompts), rowsOf(mask), steps, keep);
      expect(made).toEqual(rowsOf(arrayOf(golden, "generated")).map((row) => row.slice(0, steps)));
      expect(first).toHaveLength(3 * config.vocabSize * (Number(keep) || 12));
    }
  });

  it("has logits in 8 bits that are close to those in 32", async () => {
    const { config, parameters, golden } = await goldenModel(name);
    const [ids, mask] = [
      rowsOf(arrayOf(golden, "left.input_ids")),
      rowsOf(arrayOf(golden, "left.attention_mask")),
    ];
    const logits = async (int8: boolean) =>
      (await greedy(await sessionOf(exportOnnx(config, parameters, { int8 })), config, ids, mask, 1)).first;
    const [exact, rounded] = [await logits(false), await logits(true)];
    const norm = (x: Float32Array) => Math.hypot(...x);
    expect(norm(rounded.map((x, i) => x - (exact[i] as number))) / norm(exact)).toBeLessThan(0.1);
    expect(rounded).not.toEqual(exact);
  });
});

it("a large model keeps its weights in files beside it, each of a limited size", async () => {
  const { config, parameters, golden } = await goldenModel("llama");
  const file = exportOnnx(config, parameters, { inlineBytes: 0, chunkBytes: 20_000 });
  expect(file.chunks.length).toBeGreaterThan(2);
  expect(file.bytes.length).toBeLessThan(60_000);
  const [prompts, mask] = [arrayOf(golden, "left.input_ids"), arrayOf(golden, "left.attention_mask")];
  const { made } = await greedy(await sessionOf(file), config, rowsOf(prompts), rowsOf(mask), 20);
  expect(made).toEqual(rowsOf(arrayOf(golden, "generated")));
});

it("a classifier is refused", async () => {
  const { config, parameters } = await goldenModel("llama-score");
  expect(() => exportOnnx(config, parameters)).toThrow("a language model is required");
});
