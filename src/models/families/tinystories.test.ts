/** A real checkpoint, whose tied embedding is stored as `lm_head.weight` alone, beside `transformers`. */
import { existsSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { openLocalEngine } from "../../graph/engine/node-providers.ts";
import { compile, type HostArray, hostArray, slice, type Tensor, unflatten } from "../../graph/index.ts";
import { checkTensors, readCheckpoint } from "../checkpoint/checkpoint.ts";
import { hiddenStates, logitsOf, parameterShapes, parameterSpecs, tokenSpec } from "../model.ts";
import { expectClose, goldenFolder } from "./parity.fixture.ts";

const folder = "../shared/data/tinystories-656k";
const isThere = existsSync(folder);

interface Golden {
  readonly ids: number[];
  readonly hidden: number[];
  readonly logits: number[];
}

describe(isThere ? "tinystories-656k" : `tinystories-656k (skipped: ${folder} is not there)`, () => {
  it.skipIf(!isThere)("has the hidden states and logits of transformers", async () => {
    const golden = JSON.parse(readFileSync(`${goldenFolder}/tinystories-656k.json`, "utf8")) as Golden;
    const { config, tensors } = await readCheckpoint(folder);
    expect(Object.keys(tensors)).toContain("lm_head.weight");
    expect(Object.keys(tensors)).not.toContain("model.embed_tokens.weight");
    const parameters = checkTensors(parameterShapes(config), tensors, { source: folder });
    const program = compile(
      (params, batch) => {
        const hidden = hiddenStates(config, params, { input_ids: batch.input_ids as Tensor });
        return {
          hidden,
          logits: logitsOf(config, params, slice(hidden, 0, golden.ids.length - 1, golden.ids.length)),
        };
      },
      [parameterSpecs(config), { input_ids: tokenSpec([1, golden.ids.length]) }] as const,
    );
    const engine = await openLocalEngine({ threads: 1 });
    try {
      const ids = hostArray("int64", [1, golden.ids.length], golden.ids);
      const out = await engine.run(await engine.load(program), [unflatten(parameters), { input_ids: ids }]);
      const first = (array: HostArray, from: number, count: number) =>
        hostArray("float32", [count], (array.data as Float32Array).slice(from, from + count));
      const wanted = (values: number[]) => hostArray("float32", [values.length], values);
      const last = (golden.ids.length - 1) * config.hiddenSize;
      expectClose(
        "hidden",
        first(out.hidden as HostArray, last, golden.hidden.length),
        wanted(golden.hidden),
      );
      expectClose("logits", first(out.logits as HostArray, 0, golden.logits.length), wanted(golden.logits));
    } finally {
      await engine.dispose();
    }
  });
});
