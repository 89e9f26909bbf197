/** Gradient checkpointing of every family: the same gradients, by a second forward pass of each layer. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as ort from "onnxruntime-node";
import { describe, expect, it } from "vitest";
import { countRun } from "../../graph/autodiff/count.fixture.ts";
import {
  compile,
  flatten,
  type HostArray,
  hostArray,
  LocalEngine,
  mean,
  square,
  type Tensor,
  type Tree,
  unflatten,
  valueAndGrad,
} from "../../graph/index.ts";
import { configOf, type Family } from "../config/config.ts";
import { hiddenStates, initialParameters, parameterSpecs, tokenSpec } from "../model.ts";
import { traced } from "../tracing.ts";
import { expectClose } from "./parity.fixture.ts";

const layers = 3;
const ids = hostArray("int64", [2, 5], [3, 1, 4, 1, 5, 9, 2, 6, 5, 3]);

/** Gradients of a function of the hidden states, and the matrix products that the runtime carried out. */
async function run(family: Family, recompute: boolean) {
  const config = configOf(family, {
    vocabSize: 12,
    hiddenSize: 16,
    numLayers: layers,
    numHeads: 2,
    maxPositions: 8,
  });
  const parameters = unflatten(initialParameters(config, 1));
  const program = compile(
    (params, batch) => {
      const [loss, gradients] = traced({ recompute }, () =>
        valueAndGrad((p: Tree<Tensor>) =>
          mean(square(hiddenStates(config, p, { input_ids: batch.ids as Tensor }))),
        )(params),
      );
      return { loss, gradients };
    },
    [parameterSpecs(config), { ids: tokenSpec() }] as const,
  );
  const folder = mkdtempSync(join(tmpdir(), "attune-profile-"));
  try {
    const engine = new LocalEngine(ort, { threads: 1, profile: join(folder, "p") });
    const { gradients } = await engine.run(await engine.load(program), [parameters, { ids }]);
    await engine.dispose();
    const { MatMul = 0, FusedMatMul = 0, Gemm = 0 } = countRun(join(folder, "p"));
    return { gradients: flatten(gradients as Tree<HostArray>), products: MatMul + FusedMatMul + Gemm };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/**
 * Products of a layer's forward pass whose results its gradient reads: projections and the two of attention, but for the
 * last one of a block that ends in a sum.
 */
const recomputed: Partial<Record<Family, number>> = {
  gpt2: 1 + 2 + 1 + 1,
  gpt_neo: 3 + 2 + 1 + 1,
  gpt_neox: 1 + 2 + 1,
  llama: 3 + 2 + 1 + 2,
  qwen3: 3 + 2 + 1 + 2,
  bert: 3 + 2 + 1 + 2,
  distilbert: 3 + 2 + 1 + 2,
};

describe.each(Object.entries(recomputed))("%s with gradient checkpointing", (family, perLayer) => {
  it("has the same gradients, and computes each layer again", async () => {
    const [kept, again] = [await run(family as Family, false), await run(family as Family, true)];
    for (const [name, gradient] of Object.entries(kept.gradients))
      expectClose(name, again.gradients[name] as HostArray, gradient, { tolerance: 1e-5 });
    expect(again.products - kept.products).toBe(layers * perLayer);
  });
});
