/** The updates of an iteration, on a tiny model: what they depend on, and what they must not. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { responseTokens, type TokenSequence } from "../../../data/response-rows.ts";
import {
  compile,
  type Engine,
  flatten,
  type HostArray,
  hostArray,
  mapTree,
  type Tensor,
  type TensorSpec,
  type Tree,
  unflatten,
  valueAndGrad,
} from "../../../graph/index.ts";
import { createEngine } from "../../../graph/node.ts";
import { gaussian, uniform } from "../../../graph/random.ts";
import { adam, sgd } from "../../../optim/index.ts";
import { trainableOf } from "../../loop/trainable.ts";
import { tinyModel } from "../../tiny.fixture.ts";
import { criticFrom, separateCritic, sharedCritic } from "../critic.ts";
import { type PolicyParts, trainedParameters, trainedSpecs } from "../parts.ts";
import { planUpdates, updateInputs, updateSpecs } from "./plan.ts";
import { batchSpecs, policyUpdateLoss, type UpdateOptions } from "./program.ts";
import { createUpdater, type Experience } from "./updater.ts";

const model = tinyModel();
const noisy = (name: string, array: HostArray, i: number): HostArray =>
  name === "score.weight"
    ? ({ ...array, data: gaussian(new Float32Array(array.data.length), 9, i, 0.2) } as HostArray)
    : array;
/** With a head that is not zero, so that values and their gradients are there. */
const withHead = (parameters: Readonly<Record<string, HostArray>>) =>
  Object.fromEntries(Object.entries(parameters).map(([name, array], i) => [name, noisy(name, array, i)]));

const separate: PolicyParts = {
  config: model.config,
  policy: trainableOf(model),
  critic: separateCritic(criticFrom(model)),
};
const shared: PolicyParts = { ...separate, critic: sharedCritic(model) };

const lengths = [
  [3, 5],
  [1, 9],
  [6, 2],
  [2, 1],
  [4, 7],
  [5, 3],
  [2, 8],
  [3, 4],
] as const;
const sequences: TokenSequence[] = lengths.map(([prompt, response], row) => ({
  promptIds: Array.from({ length: prompt }, (_, t) => 20 + ((row * 7 + t * 3) % 60)),
  ids: Array.from({ length: response }, (_, t) => 20 + ((row * 11 + t * 5) % 60)),
}));
const figures = (stream: number, scale = 1, shift = 0) =>
  sequences.map(({ ids }, row) =>
    Float64Array.from({ length: ids.length }, (_, t) => shift + scale * (uniform(stream, row, t) - 0.5)),
  );
const experience: Experience = {
  sequences,
  oldLogProbs: figures(1, 1, -5.6),
  refLogProbs: figures(2, 1, -5.6),
  klCoef: 0.3,
  advantages: figures(3, 2),
  returns: figures(4),
  values: figures(5),
};
const options: UpdateOptions = {
  cliprange: 0.2,
  cliprangeValue: 0.2,
  vfCoef: 0.5,
  entropyCoef: 0.01,
  maxGradNorm: 1,
};
const settings = { temperature: 0.8, learningRate: 0.05, criticLearningRate: 0.02 };
const plan = { numPpoEpochs: 2, numMiniBatches: 2, batchSize: 4, seed: 5 };

let engine: Engine;
beforeAll(async () => {
  engine = await createEngine({ threads: 1 });
});
afterAll(() => engine.dispose());

async function train(
  parts: PolicyParts,
  given: { plan?: Partial<typeof plan>; options?: Partial<UpdateOptions>; experience?: Experience } = {},
) {
  const start = trainedParameters(parts);
  const optimizer = sgd();
  const updater = await createUpdater(
    engine,
    parts,
    { policy: optimizer, critic: optimizer },
    { ...options, ...given.options },
    { parameters: { policy: start.policy, critic: withHead(start.critic ?? {}) }, state: {} },
  );
  const found = given.experience ?? experience;
  const updates = await updater.update(
    found,
    planUpdates(found.sequences, { ...plan, ...given.plan }),
    settings,
  );
  const parameters = await updater.parameters();
  await updater.free();
  return { updates, parameters };
}

const distance = (a: Readonly<Record<string, HostArray>>, b: Readonly<Record<string, HostArray>>): number =>
  Math.max(
    ...Object.entries(a).flatMap(([name, { data }]) =>
      Array.from(data as Float32Array, (x, i) => Math.abs(x - (b[name]?.data[i] as number))),
    ),
  );

for (const [name, parts] of Object.entries({ "a separate critic": separate, "a shared backbone": shared }))
  it(`how an update is cut into micro-batches changes neither parameters nor figures, with ${name}`, async () => {
    const whole = await train(parts, { plan: { batchSize: 4 } });
    for (const batchSize of [2, 1]) {
      const cut = await train(parts, { plan: { batchSize } });
      expect(distance(cut.parameters.policy, whole.parameters.policy)).toBeLessThan(2e-6);
      expect(distance(cut.parameters.critic ?? {}, whole.parameters.critic ?? {})).toBeLessThan(2e-6);
      for (const [k, update] of whole.updates.entries())
        for (const [figure, x] of Object.entries(update)) expect(cut.updates[k]?.[figure]).toBeCloseTo(x, 4);
    }
    expect(distance(whole.parameters.policy, parts.policy.parameters)).toBeGreaterThan(1e-3);
  });

it("every epoch takes all rows once, in an order of its own", () => {
  const updates = planUpdates(sequences, plan);
  expect(updates.length).toBe(4);
  const epochs = [updates.slice(0, 2), updates.slice(2)].map((epoch) => epoch.flat(2));
  for (const epoch of epochs) expect(epoch.toSorted()).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  const firsts = [updates[0], updates[2]].map((update) => update?.flat().toSorted());
  expect(firsts[0]).not.toEqual(firsts[1]);
  expect(planUpdates(sequences, plan)).toEqual(updates);
  expect(() => planUpdates(sequences, { ...plan, numMiniBatches: 3 })).toThrow(
    /num_mini_batches: a divisor of the 8/,
  );
});

it("a micro-batch has as many rows as fit, and responses to one prompt stand together in it", () => {
  const groups = Array.from({ length: 12 }, (_, i) => ({ promptIds: [1 + (i % 3)], ids: [4, 5 + i] }));
  const once = { numPpoEpochs: 1, numMiniBatches: 1, seed: 1 };
  const [update] = planUpdates(groups, { ...once, batchSize: 4 });
  expect(update?.map((rows) => new Set(rows.map((row) => row % 3)).size)).toEqual([1, 1, 1]);
  expect(planUpdates(groups, { ...once, batchSize: 5 })[0]?.map(({ length }) => length)).toEqual([4, 4, 4]);
  expect(planUpdates(groups, { ...once, batchSize: 12 })[0]?.length).toBe(1);
});

it("a bound on the KL ends the updates, and the one that exceeds it is left out", async () => {
  const free = await train(separate);
  const found = free.updates.map(({ approxkl }) => approxkl as number);
  const strict = await train(separate, { options: { targetKl: (found[0] as number) - 1e-6 } });
  expect(strict.updates.length).toBe(1);
  expect(distance(strict.parameters.policy, separate.policy.parameters)).toBe(0);
  const loose = await train(separate, { options: { targetKl: Math.max(...found) + 1e-6 } });
  expect(loose.updates.length).toBe(4);
  expect(distance(loose.parameters.policy, free.parameters.policy)).toBe(0);
});

it("beta KL stands in the loss when it is asked for, and then pulls towards the reference", async () => {
  const plain = await train(separate);
  const pulled = await train(separate, { options: { klTerm: "k3" } });
  const [a, b] = [plain.updates[0], pulled.updates[0]];
  expect(b?.loss).toBeCloseTo((a?.loss as number) + experience.klCoef * (b?.kl_loss as number), 4);
  expect(a?.kl_loss).toBeUndefined();
});

it("an optimiser with a state keeps one for the policy and one for the critic", async () => {
  const updater = await createUpdater(engine, separate, { policy: adam(), critic: adam() }, options);
  await updater.update(experience, planUpdates(sequences, plan), settings);
  const state = await updater.state();
  expect([state["policy.step"]?.data[0], state["critic.step"]?.data[0]]).toEqual([4, 4]);
  await updater.free();
});

/** The loss over one micro-batch of all rows, its gradient, and the figures. */
async function lossAt(parts: PolicyParts, parameters: Tree<HostArray>) {
  const loss = policyUpdateLoss(parts, options);
  const specs = trainedSpecs(parts);
  const inputs = updateInputs(sequences, [[sequences.map((_, i) => i)]]);
  const micro = mapTree(inputs.micro as Tree<HostArray>, ({ dtype, shape, data }) =>
    hostArray(dtype, shape.slice(2), data as never),
  );
  const microSpecs = mapTree<TensorSpec, TensorSpec>(updateSpecs, ({ dtype, shape }) => ({
    dtype,
    shape: shape.slice(2),
  }));
  const program = await engine.load(
    compile(
      (params, batch, cut, { items }) => {
        const [value, gradient] = valueAndGrad(
          (p: Tree<Tensor>) =>
            loss(
              { params: p, frozen: {} },
              batch as Record<string, Tensor>,
              cut as Record<string, Tensor>,
              items as Tensor,
            ).loss,
        )(params);
        return { value, gradient };
      },
      [specs, batchSpecs(options), microSpecs, { items: { dtype: "float32", shape: [] } }] as const,
    ),
  );
  const flat = (rows: readonly Float64Array[]) => {
    const values = rows.flatMap((row) => [...row]);
    return hostArray("float32", [values.length], values);
  };
  const number = (x: number) => hostArray("float32", [], [x]);
  const tokens = responseTokens(sequences);
  const out = await engine.run(program, [
    parameters,
    {
      tokens: hostArray("int64", [tokens.length], tokens),
      old_log_probs: flat(experience.oldLogProbs),
      advantages: flat(experience.advantages),
      returns: flat(experience.returns ?? []),
      old_values: flat(experience.values ?? []),
      inverse_temperature: number(1 / settings.temperature),
      learning_rate: number(0),
      critic_learning_rate: number(0),
    },
    micro,
    { items: number(tokens.length) },
  ]);
  return {
    value: (out.value as HostArray).data[0] as number,
    gradient: flatten(out.gradient as Tree<HostArray>),
  };
}

for (const [name, parts] of Object.entries({ "a separate critic": separate, "a shared backbone": shared }))
  it(`the gradient reaches policy and critic, and is that of finite differences, with ${name}`, async () => {
    const start = trainedParameters(parts);
    const flat = flatten({
      policy: unflatten(start.policy),
      critic: unflatten(withHead(start.critic ?? {})),
    } as Tree<HostArray>);
    const { gradient } = await lossAt(parts, unflatten(flat));
    const size = (array?: HostArray) =>
      Math.sqrt(Array.from((array?.data ?? []) as Float32Array).reduce((s, x) => s + x * x, 0));
    for (const [path, array] of Object.entries(gradient)) expect(size(array), path).toBeGreaterThan(0);
    // Along the gradient itself the slope is its norm.
    const norm = Math.sqrt(Object.values(gradient).reduce((s, array) => s + size(array) ** 2, 0));
    const along = (h: number) =>
      unflatten(
        Object.fromEntries(
          Object.entries(flat).map(([path, { shape, data }]) => [
            path,
            hostArray(
              "float32",
              shape,
              (data as Float32Array).map((x, i) => x + (h * (gradient[path]?.data[i] as number)) / norm),
            ),
          ]),
        ),
      );
    const h = 2e-2;
    const [up, down] = [await lossAt(parts, along(h)), await lossAt(parts, along(-h))];
    expect((up.value - down.value) / (2 * h) / norm).toBeCloseTo(1, 1);
  });
