/** Twenty clipped AdamW steps on a tiny GPT-2 beside torch and transformers (test/parity/optim.py). */
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { openLocalEngine } from "../graph/engine/node-providers.ts";
import {
  flatten,
  type HostArray,
  hostArray,
  mapTree,
  type Tree,
  unflatten,
  type Value,
  zerosArray,
} from "../graph/index.ts";
import { readTensors } from "../models/checkpoint/checkpoint.ts";
import { arrayOf, goldenFolder, goldenModel, shifted } from "../models/families/parity.fixture.ts";
import { parameterSpecs, tokenSpec } from "../models/model.ts";
import { adamw } from "../optim/index.ts";
import { languageModelLoss } from "./loop/language-model.ts";
import { compileTrainStep } from "./loop/step.ts";

it("20 AdamW steps on a tiny GPT-2 have the losses, norms and final weights of torch", async () => {
  const { gpt2, steps } = JSON.parse(readFileSync(`${goldenFolder}/optim/cases.json`, "utf8"));
  const wanted = await readTensors(`${goldenFolder}/optim/gpt2.safetensors`);
  const { config, parameters, golden } = await goldenModel("gpt2");
  const optimizer = adamw({ betas: gpt2.betas, eps: gpt2.eps, weightDecay: gpt2.weight_decay });
  const specs = parameterSpecs(config);
  const program = compileTrainStep(
    languageModelLoss(config),
    { optimizer, maxGradNorm: gpt2.max_norm },
    specs,
    { input_ids: tokenSpec(), labels: tokenSpec() },
  );
  const engine = await openLocalEngine({ threads: 1 });
  try {
    const executable = await engine.load(program);
    let params: Tree<Value> = unflatten(parameters);
    let state: Tree<Value> = mapTree(optimizer.init(specs), (x) => zerosArray(x.dtype, x.shape as number[]));
    const batch = { input_ids: arrayOf(golden, "input_ids"), labels: shifted(arrayOf(golden, "labels")) };
    const rate = { learning_rate: hostArray("float32", [], [gpt2.lr]) };
    const metric = (out: Tree<Value>, name: string) =>
      ((out.metrics as Tree<Value>)[name] as HostArray).data[0] as number;
    for (let step = 0; step < steps; step++) {
      const out = await engine.run(executable, [params, state, batch, rate]);
      params = out.params as Tree<Value>;
      state = out.state as Tree<Value>;
      for (const name of ["loss", "grad_norm"]) {
        const expected = (wanted[name] as HostArray).data[step] as number;
        expect(Math.abs(metric(out, name) - expected) / expected, `${name} of step ${step}`).toBeLessThan(
          2e-4,
        );
      }
    }
    for (const [path, value] of Object.entries(flatten(params))) {
      const expected = (wanted[`final.${path}`] as HostArray).data as Float32Array;
      // A bias of all keys moves no attention weight: its gradient is rounding error, which Adam blows up to whole steps.
      const c = config.hiddenSize;
      const isKeyBias = (i: number) => path.endsWith("c_attn.bias") && i >= c && i < 2 * c;
      for (const [i, x] of ((value as HostArray).data as Float32Array).entries())
        if (!isKeyBias(i)) expect(Math.abs(x - (expected[i] as number)), `${path}[${i}]`).toBeLessThan(1e-3);
    }
  } finally {
    await engine.dispose();
  }
});
