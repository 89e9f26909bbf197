import { expect, it } from "vitest";
import { openLocalEngine } from "../graph/engine/node-providers.ts";
import { compile, type HostArray, hostArray, type Tensor, tokenLogProbs, unflatten } from "../graph/index.ts";
import { configOf } from "./config/config.ts";
import { initialParameters, logitFigures, parameterSpecs } from "./model.ts";
import { logitsChunkOf, traced } from "./tracing.ts";

it("auto is as many rows as 64 MB of logits hold, and none where the vocabulary or the batch is small", () => {
  expect(logitsChunkOf("auto", 50_257)).toBe(320);
  expect(logitsChunkOf("auto", 32_000)).toBe(512);
  expect(logitsChunkOf("auto", 1_000_000)).toBe(64);
  for (const vocabulary of [8192, 32_000, 50_257])
    expect(4 * vocabulary * (logitsChunkOf("auto", vocabulary) as number)).toBeLessThanOrEqual(64 * 2 ** 20);
  expect(logitsChunkOf("auto", 4096)).toBeUndefined();
  expect([logitsChunkOf("auto", 50_257, 320), logitsChunkOf("auto", 50_257, 321)]).toEqual([undefined, 320]);
  expect([logitsChunkOf(7, 300), logitsChunkOf(undefined, 50_257)]).toEqual([7, undefined]);
});

it("log-probabilities are the same in automatic chunks, of which there are more than one", async () => {
  const engine = await openLocalEngine({ threads: 1 });
  const sizes = { vocabSize: 200_000, hiddenSize: 4, numLayers: 1, numHeads: 1, maxPositions: 8 };
  const config = configOf("llama", sizes);
  const [rows, width] = [200, 4];
  const hidden = Float32Array.from({ length: rows * width }, (_, i) => Math.sin(i));
  const tokens = Array.from({ length: rows }, (_, i) => (997 * i) % 200_000);
  const run = async (logitsChunk: "auto" | undefined) => {
    const program = compile(
      (params, batch) =>
        traced({ logitsChunk }, () =>
          logitFigures(
            config,
            params,
            batch.hidden as Tensor,
            { rows: { tokens: batch.tokens as Tensor } },
            (logits, own) => ({
              logProbs: tokenLogProbs(logits, own.tokens),
            }),
          ),
        ),
      [
        parameterSpecs(config),
        { hidden: { dtype: "float32", shape: ["N", width] }, tokens: { dtype: "int64", shape: ["N"] } },
      ] as const,
    );
    const out = await engine.run(await engine.load(program), [
      unflatten(initialParameters(config, 1)),
      { hidden: hostArray("float32", [rows, width], hidden), tokens: hostArray("int64", [rows], tokens) },
    ]);
    return [...((out.logProbs as HostArray).data as Float32Array)];
  };
  expect(logitsChunkOf("auto", 200_000)).toBeLessThan(rows);
  const [whole, chunked] = [await run(undefined), await run("auto")];
  for (const [i, x] of whole.entries()) expect(chunked[i]).toBeCloseTo(x, 4);
  await engine.dispose();
});
