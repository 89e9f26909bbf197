import { readFileSync } from "node:fs";
import * as ort from "onnxruntime-node";
import { describe, expect, it } from "vitest";
import {
  compile,
  type Dim,
  type HostArray,
  hostArray,
  LocalEngine,
  mapTree,
  type Tree,
  type Value,
  zerosArray,
} from "../graph/index.ts";
import { readSafetensors } from "../models/checkpoint/safetensors.ts";
import {
  type AdamOptions,
  adam,
  adamw,
  averageOf,
  clipByGlobalNorm,
  lion,
  matricesOnly,
  type Optimizer,
  type ScheduleName,
  type SgdOptions,
  schedule,
  sgd,
  withAverage,
} from "./index.ts";

const golden = new URL("../../test/parity/golden/optim/", import.meta.url);
const cases = JSON.parse(readFileSync(new URL("cases.json", golden), "utf8"));
const { tensors } = readSafetensors(readFileSync(new URL("optimizers.safetensors", golden)));
const engine = new LocalEngine(ort, { threads: 1 });

const specs = {
  w: { dtype: "float32" as const, shape: [4, 3] as Dim[] },
  b: { dtype: "float32" as const, shape: [3] as Dim[] },
};
const names = ["w", "b"] as const;

/** Entry `step` of a stacked array. */
function at(name: string, step: number): HostArray {
  const { shape, data } = tensors[name] as HostArray<"float32">;
  const size = shape.slice(1).reduce((a, b) => a * b, 1);
  return hostArray("float32", shape.slice(1), data.slice(step * size, (step + 1) * size));
}
const tree = (prefix: string, step?: number): Tree<HostArray> =>
  Object.fromEntries(
    names.map((n) => [
      n,
      step === undefined ? (tensors[`${prefix}.${n}`] as HostArray) : at(`${prefix}.${n}`, step),
    ]),
  );

async function trainer(optimizer: Optimizer) {
  const rate = { learning_rate: { dtype: "float32" as const, shape: [] as Dim[] } };
  const program = compile(
    (params, state, grads, { learning_rate }) => ({
      ...optimizer.update(grads, state, params, { learningRate: learning_rate as never }),
    }),
    [specs, optimizer.init(specs), specs, rate] as const,
  );
  return engine.load(program);
}

const build: Record<string, (c: Record<string, never>) => Optimizer> = {
  AdamW: ({ betas, eps, weight_decay: weightDecay }: AdamOptions & { weight_decay?: number }) =>
    adamw({ betas, eps, weightDecay } as AdamOptions),
  Adam: ({ betas, eps, weight_decay: weightDecay }: AdamOptions & { weight_decay?: number }) =>
    adam({ betas, eps, weightDecay } as AdamOptions),
  Lion: ({ betas, weight_decay: weightDecay }: AdamOptions & { weight_decay?: number }) =>
    lion({ betas, weightDecay } as AdamOptions),
  SGD: ({
    momentum = 0,
    nesterov = false,
    weight_decay: weightDecay = 0,
  }: SgdOptions & { weight_decay?: number }) => sgd({ momentum, nesterov, weightDecay }),
};

describe("optimisers follow torch for 20 steps, over gradients of five orders of magnitude and exact zeros", () => {
  for (const [name, settings] of Object.entries<Record<string, never>>(cases.optimizers))
    it(name, async () => {
      const optimizer = (build[settings.kind as unknown as string] as (typeof build)[string])(settings);
      const executable = await trainer(optimizer);
      const rate = { learning_rate: hostArray("float32", [], [settings.lr as unknown as number]) };
      let params: Tree<Value> = tree("start");
      let state: Tree<Value> = mapTree(optimizer.init(specs), ({ dtype, shape }) =>
        zerosArray(dtype, shape as number[]),
      );
      for (let step = 0; step < cases.steps; step++) {
        const out = await engine.run(executable, [params, state, tree("grads", step), rate]);
        params = out.params as Tree<Value>;
        state = (out.state ?? {}) as Tree<Value>;
        for (const n of names) {
          const got = (params[n] as HostArray).data as Float32Array;
          const wanted = at(`${name}.${n}`, step).data as Float32Array;
          for (const [i, x] of got.entries())
            expect(Math.abs(x - (wanted[i] as number))).toBeLessThan(2e-6 * Math.max(1, Math.abs(x)));
        }
      }
    });
});

/** Parameters and state after each of some steps from `params` with the same gradient, in plain numbers. */
async function course(optimizer: Optimizer, start: number[], gradients: number[][], rate: number) {
  const spec = { w: { dtype: "float32" as const, shape: [start.length] as Dim[] } };
  const scalarSpec = { dtype: "float32" as const, shape: [] as Dim[] };
  const executable = await engine.load(
    compile(
      (params, state, grads, { learning_rate }) => ({
        ...optimizer.update(grads, state, params, { learningRate: learning_rate as never }),
      }),
      [spec, optimizer.init(spec), spec, { learning_rate: scalarSpec }] as const,
    ),
  );
  let params: Tree<Value> = { w: hostArray("float32", [start.length], start) };
  let state: Tree<Value> = mapTree(optimizer.init(spec), ({ dtype, shape }) =>
    zerosArray(dtype, shape as number[]),
  );
  const list = (tree: Tree<Value>) => [...((tree.w as HostArray).data as Float32Array)];
  const steps: { w: number[]; average?: number[] }[] = [];
  for (const gradient of gradients) {
    const grads = { w: hostArray("float32", [start.length], gradient) };
    const out = await engine.run(executable, [
      params,
      state,
      grads,
      { learning_rate: hostArray("float32", [], [rate]) },
    ]);
    params = out.params as Tree<Value>;
    state = (out.state ?? {}) as Tree<Value>;
    const average = averageOf(state);
    steps.push({ w: list(params), ...(average && { average: list(average) }) });
  }
  return steps;
}

it("Lion moves every element by the rate, in the direction of the sign of the interpolated momentum", async () => {
  // b1 0.5, b2 0.75: m is 0.25 g = [0.5, -1, 0] after the first step; then c = 0.5 m + 0.5 [-0.4, 2, 0] = [0.05, 0.5, 0].
  const [first, second] = await course(
    lion({ betas: [0.5, 0.75] }),
    [1, 1, 1],
    [
      [2, -4, 0],
      [-0.4, 2, 0],
    ],
    0.25,
  );
  expect(first?.w).toEqual([0.75, 1.25, 1]);
  expect(second?.w).toEqual([0.5, 1, 1]);
});

it("Lion's weight decay acts on the weights, not on the momentum", async () => {
  const [first] = await course(lion({ weightDecay: 0.5 }), [2], [[3]], 0.25);
  expect(first?.w).toEqual([2 - 0.25 * (1 + 0.5 * 2)]);
});

describe("the moving average of the weights", () => {
  const gradients = [[1], [-2], [4], [0.5], [3]];
  const decay = 0.75;

  it("weighs the weights after each update by decay^age, corrected so that the weights add up to 1", async () => {
    const steps = await course(withAverage(sgd(), decay), [10], gradients, 0.5);
    for (const [t, { average }] of steps.entries()) {
      const seen = steps.slice(0, t + 1);
      const weights = seen.map((_, i) => decay ** (t - i));
      const wanted = seen.reduce((sum, { w }, i) => sum + (w[0] as number) * (weights[i] as number), 0);
      expect(average?.[0]).toBeCloseTo(wanted / weights.reduce((a, b) => a + b), 5);
    }
    expect(steps[0]?.average).toEqual(steps[0]?.w);
  });

  it("does not change how the weights move, whatever moves them", async () => {
    for (const optimizer of [sgd({ momentum: 0.9 }), adamw(), lion()]) {
      const alone = await course(optimizer, [10], gradients, 0.5);
      const averaged = await course(withAverage(optimizer, decay), [10], gradients, 0.5);
      expect(averaged.map(({ w }) => w)).toEqual(alone.map(({ w }) => w));
    }
  });

  it("refuses a decay of 1, with which it would never move", () => {
    expect(() => withAverage(sgd(), 1)).toThrow("at least 0 and below 1");
  });
});

it("clipping is that of torch, on both sides of the limit", async () => {
  const executable = await engine.load(
    compile((grads) => ({ ...clipByGlobalNorm(grads, cases.clip.max_norm) }), [specs] as const),
  );
  for (let step = 0; step < cases.steps; step++) {
    const scaled = mapTree(tree("grads", step), ({ shape, data }) =>
      hostArray(
        "float32",
        shape,
        (data as Float32Array).map((x) => x * cases.clip.gradient_scale),
      ),
    );
    const out = await engine.run(executable, [scaled]);
    expect((out.norm as HostArray).data[0]).toBeCloseTo(at("clip.norm", step).data[0] as number, 4);
    for (const n of names) {
      const got = (out.gradients as Tree<HostArray>)[n] as HostArray;
      const wanted = at(`clip.${n}`, step).data;
      for (const [i, x] of (got.data as Float32Array).entries())
        expect(x).toBeCloseTo(wanted[i] as number, 6);
    }
  }
});

describe("schedules give the rates of transformers, also after their end", () => {
  const { lr, num_warmup_steps: warmupSteps, num_training_steps: totalSteps, ...rows } = cases.schedules;
  for (const [name, row] of Object.entries<Record<string, never>>(rows))
    it(name, () => {
      const { rates, num_cycles, min_lr_rate, lr_end, power } = row as unknown as Record<string, number> & {
        rates: number[];
      };
      const rate = schedule(name as ScheduleName, lr, {
        totalSteps,
        warmupSteps,
        ...(num_cycles !== undefined && { numCycles: num_cycles }),
        ...(min_lr_rate !== undefined && { minRatio: min_lr_rate }),
        ...(lr_end !== undefined && { minRatio: lr_end / lr }),
        ...(power !== undefined && { power }),
      });
      for (const [step, wanted] of rates.entries()) expect(rate(step)).toBeCloseTo(wanted, 12);
    });
});

it("the mask of weight decay leaves biases and norms alone", () => {
  expect([matricesOnly("w", [4, 3]), matricesOnly("b", [3])]).toEqual([true, false]);
});

it("Adam's epsilon in TensorFlow's place is added before the correction of v, so that it weighs more at first", async () => {
  const [b1, b2, eps, rate] = [0.9, 0.999, 1e-3, 0.1];
  const [grads, start] = [tree("grads", 0), tree("start")];
  const first = async (epsilonPlacement: "pytorch" | "tensorflow") => {
    const optimizer = adam({ betas: [b1, b2], eps, epsilonPlacement });
    const zeros = mapTree(optimizer.init(specs), (spec) => zerosArray(spec.dtype, spec.shape as number[]));
    const step = await trainer(optimizer);
    const learning_rate = hostArray("float32", [], [rate]);
    const out = await engine.run(step, [start, zeros as Tree<Value>, grads, { learning_rate }]);
    return Array.from(((out.params as Tree<HostArray>).w as HostArray<"float32">).data);
  };
  const [w, g] = [start.w as HostArray, grads.w as HostArray].map(({ data }) =>
    Array.from(data as Float32Array),
  );
  const moved = (epsilon: number) =>
    (w as number[]).map((p, i) => {
      const gi = (g as number[])[i] as number;
      return p - (rate * gi) / (Math.abs(gi) + epsilon); // after one step m^ is g and v^ is g^2
    });
  const tensorflow = moved(eps / Math.sqrt(1 - b2));
  for (const [i, value] of (await first("tensorflow")).entries())
    expect(value).toBeCloseTo(tensorflow[i] as number, 5);
  const pytorch = moved(eps);
  for (const [i, value] of (await first("pytorch")).entries())
    expect(value).toBeCloseTo(pytorch[i] as number, 5);
  expect(Math.abs((tensorflow[0] as number) - (pytorch[0] as number))).toBeGreaterThan(1e-4);
});
