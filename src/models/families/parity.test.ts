/** Every family beside `transformers`: logits, loss and gradients of tiny random models, see test/parity/README.md. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openLocalEngine } from "../../graph/engine/node-providers.ts";
import {
  compile,
  crossEntropy,
  flatten,
  type HostArray,
  hostArray,
  type LocalEngine,
  logSoftmax,
  reshape,
  type Tensor,
  type Tree,
  unflatten,
  valueAndGrad,
} from "../../graph/index.ts";
import type { ModelConfig } from "../config/config.ts";
import { hiddenStates, logitsOf, parameterSpecs, scoresOf, type TokenBatch, tokenSpec } from "../model.ts";
import { arrayOf, expectClose, goldenModel, shifted } from "./parity.fixture.ts";

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

let engine: LocalEngine;
beforeAll(async () => {
  engine = await openLocalEngine({ threads: 1 });
});
afterAll(() => engine.dispose());

const logits = (config: ModelConfig, params: Tree<Tensor>, batch: Tree<Tensor>) =>
  logitsOf(config, params, hiddenStates(config, params, batch as unknown as TokenBatch));

describe.each(languageModels)("%s", (name) => {
  it("has the logits, the loss and every gradient of transformers, with rows padded on the right", async () => {
    const { config, parameters, golden } = await goldenModel(name);
    const program = compile(
      (params, batch) => {
        let found: Tensor | undefined;
        const [loss, gradients] = valueAndGrad((p: Tree<Tensor>) => {
          found = logits(config, p, batch);
          return crossEntropy(found, reshape(batch.labels as Tensor, [-1]));
        })(params);
        return { logits: found as Tensor, loss, gradients };
      },
      [parameterSpecs(config), { input_ids: tokenSpec(), labels: tokenSpec() }] as const,
    );
    const batch = { input_ids: arrayOf(golden, "input_ids"), labels: shifted(arrayOf(golden, "labels")) };
    const out = await engine.run(await engine.load(program), [unflatten(parameters), batch]);
    const mask = arrayOf(golden, "attention_mask").data;
    const isReal = (i: number) => Number(mask[Math.floor(i / config.vocabSize)]) === 1;
    expectClose("logits", out.logits as HostArray, arrayOf(golden, "logits"), { counts: isReal });
    expectClose("loss", out.loss as HostArray, arrayOf(golden, "loss"));
    const gradients = flatten(out.gradients as Tree<HostArray>);
    for (const [path, gradient] of Object.entries(gradients)) {
      const wanted = arrayOf(golden, `grad.${path.replace("embed_out", "lm_head")}`);
      expectClose(path, gradient, wanted, { tolerance: 2e-4 });
    }
    const expected = Object.keys(golden).filter((key) => key.startsWith("grad.")).length;
    expect(Object.keys(gradients)).toHaveLength(expected);
  });

  it("gives rows that share one row the logits that they have apart", async () => {
    const { config, parameters, golden } = await goldenModel(name);
    const names = ["input_ids", "position_ids", "segment_ids"] as const;
    const specs = Object.fromEntries(names.map((key) => [key, tokenSpec()]));
    const program = compile((params, batch) => ({ logits: logSoftmax(logits(config, params, batch)) }), [
      parameterSpecs(config),
      specs,
    ] as const);
    const executable = await engine.load(program);
    const run = async (rows: readonly (readonly number[])[]) => {
      const flat = rows.flat();
      const row = (values: readonly number[]) => hostArray("int64", [1, flat.length], values);
      const out = await engine.run(executable, [
        unflatten(parameters),
        {
          input_ids: row(flat),
          position_ids: row(rows.flatMap((ids) => ids.map((_, t) => t))),
          segment_ids: row(rows.flatMap((ids, segment) => ids.map(() => segment))),
        },
      ]);
      return [...((out.logits as HostArray).data as Float32Array)];
    };
    const all = Array.from(arrayOf(golden, "input_ids").data, Number);
    const rows = [all.slice(0, 12), all.slice(12, 21), all.slice(24, 29)];
    const apart = [];
    for (const row of rows) apart.push(...(await run([row])));
    const together = await run(rows);
    expectClose(
      "log-probabilities",
      hostArray("float32", [together.length], together),
      hostArray("float32", [apart.length], apart),
    );
  });
});

describe.each(["gpt2-score", "llama-score"])("%s", (name) => {
  it("scores the last real token as transformers does", async () => {
    const { config, parameters, golden } = await goldenModel(name);
    const program = compile(
      (params, batch) => {
        const hidden = hiddenStates(config, params, batch as unknown as TokenBatch);
        return { scores: reshape(scoresOf(config, params, hidden), ["B", "T", 1]) };
      },
      [parameterSpecs(config), { input_ids: tokenSpec() }] as const,
    );
    const batch = { input_ids: arrayOf(golden, "input_ids") };
    const out = await engine.run(await engine.load(program), [unflatten(parameters), batch]);
    const { shape, data } = out.scores as HostArray<"float32">;
    const [rows, length] = shape as [number, number];
    const mask = Array.from(arrayOf(golden, "attention_mask").data, Number);
    const lengths = Array.from({ length: rows }, (_, row) =>
      mask.slice(row * length, (row + 1) * length).reduce((a, b) => a + b, 0),
    );
    const last = lengths.map((n, row) => data[row * length + n - 1] as number);
    expectClose("scores", hostArray("float32", [rows, 1], last), arrayOf(golden, "logits"));
  });
});
