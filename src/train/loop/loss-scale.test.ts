import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  type Engine,
  type HostArray,
  hostArray,
  mul,
  sum,
  type Tensor,
  type TensorSpec,
  type Tree,
  unflatten,
} from "../../graph/index.ts";
import { createEngine } from "../../graph/node.ts";
import { tokenSpec } from "../../models/model.ts";
import { project, traced } from "../../models/tracing.ts";
import { adamw, sgd, withAverage, withLossScale } from "../../optim/index.ts";
import { sft } from "../sft.ts";
import { rows, tinyModel } from "../tiny.fixture.ts";
import { languageModelLoss } from "./language-model.ts";
import { type Loss, tracedLoss } from "./step.ts";
import { createStepper, type StepperOptions } from "./stepper.ts";

let engine: Engine;
beforeAll(async () => {
  engine = await createEngine({ threads: 1 });
});
afterAll(() => engine.dispose());

const model = tinyModel();
const ids = BigInt64Array.from({ length: 32 }, (_, i) => BigInt((i * 37) % model.config.vocabSize));
const texts = {
  input_ids: hostArray("int64", [4, 8], ids),
  labels: hostArray("int64", [4, 8], ids.toReversed()),
};

/** Metrics of some steps on the same texts, as one micro-batch or as two halves of the items. */
async function learn(options: Partial<StepperOptions>, { steps = 5, micro = 1 } = {}) {
  const stepper = await createStepper({
    engine,
    loss: languageModelLoss(model.config),
    optimizer: adamw(),
    maxGradNorm: 1,
    parameters: unflatten(model.parameters),
    batch: { input_ids: tokenSpec(), labels: tokenSpec() },
    accumulate: micro > 1,
    ...options,
  });
  const found: Record<string, number>[] = [];
  const parts = Array.from({ length: micro }, () => texts);
  for (let i = 0; i < steps; i++) found.push(await stepper.step(parts, 32 * micro, 1e-2));
  await stepper.free();
  return found;
}

/** Steps of w -= rate * x, so that a step's gradient is what its batch brings. */
async function follow(gradients: readonly number[], growthInterval: number) {
  const spec: TensorSpec = { dtype: "float32", shape: [1] };
  const loss: Loss = (params, batch) => ({ loss: sum(mul(params.w as Tensor, batch.x as Tensor)) });
  const stepper = await createStepper({
    engine,
    loss,
    optimizer: withLossScale(withAverage(sgd({ momentum: 0 }), 0.5), { growthInterval }),
    parameters: { w: hostArray("float32", [1], [0]) },
    batch: { x: spec },
    accumulate: false,
  });
  const found: { w: number; scale: number; skipped: number }[] = [];
  for (const x of gradients) {
    const { skipped_steps, loss_scale } = await stepper.step([{ x: hostArray("float32", [1], [x]) }], 1, 1);
    const { w } = (await stepper.parameters()) as { w: HostArray<"float32"> };
    found.push({ w: w.data[0] as number, scale: loss_scale as number, skipped: skipped_steps as number });
  }
  const state = (await engine.get(stepper.state)) as Tree<HostArray>;
  await stepper.free();
  return { found, state };
}

describe("a scaled loss", () => {
  it("is scaled by a power of two, so in single precision nothing changes, to the bit", async () => {
    for (const micro of [1, 2]) {
      const plain = await learn({}, { micro });
      const scaled = await learn({ optimizer: withLossScale(adamw()) }, { micro });
      expect(scaled.map(({ loss, grad_norm }) => [loss, grad_norm])).toEqual(
        plain.map(({ loss, grad_norm }) => [loss, grad_norm]),
      );
      expect(scaled[0]).toMatchObject({ loss_scale: 65_536, skipped_steps: 0 });
    }
  });

  it("halves where gradients are not finite, leaves that step out, and doubles after enough that are", async () => {
    const { found, state } = await follow([1, Number.POSITIVE_INFINITY, Number.NaN, 1, 1, 1, 1, 1], 2);
    expect(found).toEqual([
      { w: -1, scale: 65_536, skipped: 0 },
      { w: -1, scale: 65_536, skipped: 1 },
      { w: -1, scale: 32_768, skipped: 2 },
      { w: -2, scale: 16_384, skipped: 2 },
      { w: -3, scale: 16_384, skipped: 2 },
      { w: -4, scale: 32_768, skipped: 2 },
      { w: -5, scale: 32_768, skipped: 2 },
      { w: -6, scale: 65_536, skipped: 2 },
    ]);
    // The scale is part of the state that checkpoints keep.
    const scalar = (name: string) => (state[name] as HostArray<"float32">).data[0];
    expect([scalar("loss_scale_exponent"), scalar("loss_scale_streak"), scalar("skipped_steps")]).toEqual([
      0, 1, 2,
    ]);
  });

  it("does not fall below 1", async () => {
    const { found } = await follow(Array<number>(20).fill(Number.NaN), 2000);
    expect(found.at(-1)).toEqual({ w: 0, scale: 1, skipped: 20 });
  });
});

describe("half precision, as the CPU rounds to it", () => {
  it("learns what single precision learns", async () => {
    const single = await learn({}, { steps: 20 });
    for (const micro of [1, 2]) {
      const half = await learn(
        {
          loss: tracedLoss(languageModelLoss(model.config), { fp16: true }),
          optimizer: withLossScale(adamw()),
        },
        { steps: 20, micro },
      );
      expect(half[0]?.loss).not.toBe(single[0]?.loss);
      expect(half[0]?.loss).toBeCloseTo(single[0]?.loss as number, 2);
      expect(half.at(-1)?.loss).toBeLessThan(0.6 * (half[0]?.loss as number));
      expect(Math.abs((half.at(-1)?.loss as number) - (single.at(-1)?.loss as number))).toBeLessThan(0.1);
    }
  });

  it("loses small gradients without the scale, and keeps them with it", async () => {
    const tiny: Loss = (params, batch) => ({
      loss: mul(sum(traced({ half: true }, () => project(batch.x as Tensor, params.w as Tensor))), 1e-9),
    });
    const norms: number[] = [];
    for (const optimizer of [sgd({ momentum: 0 }), withLossScale(sgd({ momentum: 0 }))]) {
      const stepper = await createStepper({
        engine,
        loss: tiny,
        optimizer,
        parameters: { w: hostArray("float32", [2, 2], [1, 2, 3, 4]) },
        batch: { x: { dtype: "float32", shape: [1, 2] } },
        accumulate: false,
      });
      const { grad_norm } = await stepper.step([{ x: hostArray("float32", [1, 2], [1, 1]) }], 1, 1);
      norms.push(grad_norm as number);
      await stepper.free();
    }
    expect(norms[0]).toBe(0);
    expect(norms[1]).toBeCloseTo(2e-9, 11);
  });

  it("overflows in the first steps where the scale is too large, and goes on with a smaller one", async () => {
    const steep: Loss = (params, batch) => {
      const { loss, metrics } = languageModelLoss(model.config)(params, batch);
      return { loss: mul(loss, 3000), ...(metrics && { metrics }) };
    };
    const found = await learn(
      { loss: tracedLoss(steep, { fp16: true }), optimizer: withLossScale(adamw()) },
      { steps: 24 },
    );
    const last = found.at(-1) as Record<string, number>;
    expect(found[0]?.skipped_steps).toBe(1);
    expect(last.skipped_steps).toBeLessThan(16);
    expect(last.loss_scale).toBe(65_536 / 2 ** (last.skipped_steps as number));
    expect(last.loss).toBeLessThan(found[0]?.loss as number);
  });
});

it("a provider without half precision is refused in one line", async () => {
  const asked = sft({ model, data: rows, fp16: true, engine, maxSteps: 1 });
  await expect(asked).rejects.toThrow(
    "fp16: a provider with products in half precision is required (webgpu or cuda), got cpu; choose another with --provider, or leave it out",
  );
});
