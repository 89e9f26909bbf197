/** What TRL 1.12's PPOTrainer computes in an iteration, on the same weights and the same responses (test/parity/ppo.py). */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, it } from "vitest";
import { createTokenPass, logProbsFigure } from "../../evaluate/token-pass.ts";
import { type Engine, type HostArray, type Tree, unflatten } from "../../graph/index.ts";
import { createEngine } from "../../graph/node.ts";
import { readSafetensors } from "../../models/checkpoint/safetensors.ts";
import { configOf } from "../../models/config/config.ts";
import { modelOf } from "../../models/load.ts";
import { adamw, sgd } from "../../optim/index.ts";
import { trainableOf } from "../loop/trainable.ts";
import { gae, tokenRewards, whiten } from "./advantages.ts";
import { separateCritic } from "./critic.ts";
import { klEstimators, type SampledKl } from "./kl.ts";
import { ppoMetrics } from "./metrics.ts";
import { type PolicyParts, policyOf, trainedSpecs, valuesFigure } from "./parts.ts";
import { planUpdates } from "./update/plan.ts";
import { createUpdater } from "./update/updater.ts";

type Rows = number[][];
interface Case {
  readonly prompts: Rows;
  readonly responses: Rows;
  readonly old_log_probs: Rows;
  readonly ref_log_probs: Rows;
  readonly values: Rows;
  readonly scores: number[];
  readonly rewards: Rows;
  readonly rewards_mask: Rows;
  readonly rewards_whitened: Rows;
  readonly advantages: Rows;
  readonly advantages_mask: Rows;
  readonly advantages_whitened: Rows;
  readonly updates: readonly Record<string, number>[];
  readonly metrics: Readonly<Record<string, number>>;
  readonly options: Readonly<Record<string, number>> & { readonly kl_estimator: SampledKl };
}

const golden = new URL("../../../test/parity/golden/ppo/", import.meta.url);
const cases = JSON.parse(readFileSync(new URL("cases.json", golden), "utf8")) as Record<string, Case>;
const { tensors } = readSafetensors(readFileSync(new URL("weights.safetensors", golden)));
const [whole, whitened, ragged] = [cases.whole, cases.whitened, cases.ragged] as [Case, Case, Case];

const below = (prefix: string) =>
  Object.fromEntries(
    Object.entries(tensors)
      .filter(([name]) => name.startsWith(`${prefix}.`))
      .map(([name, array]) => [name.slice(prefix.length + 1), array as HostArray]),
  );
const sizes = {
  ...{ vocabSize: 37, hiddenSize: 16, numLayers: 2, numHeads: 2, numKeyValueHeads: 1 },
  ...{ intermediateSize: 24, maxPositions: 32, tieEmbeddings: false, eosTokenId: 2 },
};
const config = configOf("llama", sizes);
const policy = modelOf({ config, parameters: below("policy") });
const critic = modelOf({
  config: configOf("llama", { ...sizes, numLabels: 1 }),
  parameters: below("critic"),
});
const parts: PolicyParts = { config, policy: trainableOf(policy), critic: separateCritic(critic) };

const rowsOf = (rows: Rows) => rows.map((row) => Float64Array.from(row));
const sequences = whole.prompts.map((promptIds, i) => ({ promptIds, ids: whole.responses[i] as number[] }));
const closeRows = (got: readonly ArrayLike<number>[], wanted: Rows, digits = 4) => {
  for (const [i, row] of wanted.entries())
    for (const [t, x] of row.entries()) expect(got[i]?.[t], `row ${i}, token ${t}`).toBeCloseTo(x, digits);
};

let engine: Engine;
beforeAll(async () => {
  engine = await createEngine({ threads: 1 });
});
afterAll(() => engine.dispose());

it("log-probabilities of policy and reference at the sampling temperature, and values", async () => {
  const temperature = whole.options.temperature as number;
  const weights = { params: trainedSpecs(parts), frozen: {} };
  const arrays = {
    params: { policy: unflatten(policy.parameters), critic: unflatten(critic.parameters) },
    frozen: {},
  };
  const run = async (figure: ReturnType<typeof valuesFigure>, fixed: Tree<HostArray> = {}) => {
    const pass = await createTokenPass(engine, figure, { weights, fixed, batchSize: 3 });
    return pass.run(arrays, sequences, temperature);
  };
  closeRows(await run(logProbsFigure(config, policyOf(parts))), whole.old_log_probs);
  const reference = logProbsFigure(config, (all) => all.fixed as typeof all);
  closeRows(await run(reference, unflatten(below("reference"))), whole.ref_log_probs);
  closeRows(await run(valuesFigure(parts)), whole.values);
});

/**
 * Rewards, advantages and returns as ours, in TRL's shape. TRL puts the score of a response that has ended one place
 * behind its last token; there a response is one token longer, which costs no KL.
 */
function estimated(c: Case) {
  const { kl_coef = 0, gamma = 1, lam = 1, kl_estimator } = c.options;
  const rewards = c.old_log_probs.map((row, i) => {
    const ids = c.responses[i] as number[];
    const end = ids.indexOf(2);
    const isShort = c === ragged && end >= 0 && end < ids.length - 1;
    const kl = row.slice(0, isShort ? end + 1 : ids.length).map((x, t) => {
      return klEstimators[kl_estimator](x - (c.ref_log_probs[i]?.[t] as number));
    });
    const penalty = end < 0 ? (c.options.missing_eos_penalty ?? 0) : 0;
    return tokenRewards(isShort ? [...kl, 0] : kl, kl_coef, (c.scores[i] as number) - penalty);
  });
  const biased = (n: number) => Math.sqrt((n - 1) / n); // TRL's variance is the unbiased one
  const count = rewards.reduce((n, row) => n + row.length, 0);
  const mean = rewards.reduce((s, row) => s + row.reduce((a, b) => a + b, 0), 0) / count;
  const scaled = whiten(rewards, { shiftMean: false }).map((row) =>
    row.map((x) => (x - mean) * biased(count) + mean),
  );
  const used = c === whole ? rewards : scaled;
  const estimates = used.map((row, i) => gae(row, c.values[i] as number[], { gamma, lam }));
  const tokens = c.advantages_mask.map((mask) => mask.filter((m) => m === 1).length);
  const advantages = estimates.map((e, i) => e.advantages.slice(0, tokens[i]));
  const all = tokens.reduce((a, b) => a + b, 0);
  return {
    rewards,
    scaled,
    advantages,
    whitened: whiten(advantages).map((row) => row.map((x) => x * biased(all))),
    returns: estimates.map((e) => e.returns),
  };
}

const masked = (rows: Rows, mask: Rows) => rows.map((row, i) => row.filter((_, t) => mask[i]?.[t] === 1));

it.each(Object.entries(cases))("rewards per token, advantages and whitening: %s", (_, c) => {
  const found = estimated(c);
  if (c !== whole) {
    closeRows(found.rewards, masked(c.rewards, c.rewards_mask));
    closeRows(found.scaled, masked(c.rewards_whitened, c.rewards_mask));
  }
  closeRows(found.advantages, masked(c.advantages, c.advantages_mask));
  closeRows(found.whitened, masked(c.advantages_whitened, c.advantages_mask));
});

it("the ragged case has responses that end early and some that do not end", () => {
  const ends = ragged.responses.map((ids) => ids.indexOf(2));
  expect(ends.some((end) => end >= 0 && end < 5)).toBe(true);
  expect(ends.some((end) => end < 0)).toBe(true);
  expect(whitened.rewards_mask.flat().every((m) => m === 1)).toBe(true);
});

const o = whole.options as Record<string, number>;
const updateOptions = {
  cliprange: o.cliprange as number,
  cliprangeValue: o.cliprange_value as number,
  vfCoef: o.vf_coef as number,
  entropyCoef: 1e-12, // so that the entropy is measured
  maxGradNorm: 0,
};
const experience = {
  sequences,
  oldLogProbs: rowsOf(whole.old_log_probs),
  klCoef: 0,
  advantages: rowsOf(whole.advantages_whitened),
  returns: rowsOf(whole.advantages.map((row, i) => row.map((x, t) => x + (whole.values[i]?.[t] as number)))),
  values: rowsOf(whole.values),
};
const plan = { numPpoEpochs: o.num_ppo_epochs as number, numMiniBatches: 1, batchSize: 8, seed: 0 };

it("losses, clip fractions, KL, ratio and entropy of three epochs, the parameters after them, and the metrics", async () => {
  const optimizer = adamw({ eps: o.adam_epsilon as number, weightDecay: 0 });
  const updater = await createUpdater(engine, parts, { policy: optimizer, critic: optimizer }, updateOptions);
  const rates = { learningRate: o.learning_rate as number, criticLearningRate: o.learning_rate as number };
  const updates = await updater.update(experience, planUpdates(sequences, plan), {
    temperature: o.temperature as number,
    ...rates,
  });
  expect(updates.length).toBe(3);
  // TRL halves the mean of the squared errors after it was taken.
  for (const [k, wanted] of whole.updates.entries())
    for (const [name, x] of Object.entries(wanted))
      expect(updates[k]?.[name], `${name} ${k}`).toBeCloseTo(name === "value_loss" ? x / 2 : x, 4);
  const after = (await updater.parameters()).policy;
  for (const [name, { data }] of Object.entries(below("after.policy")))
    for (const [i, x] of (data as Float32Array).entries())
      expect(Math.abs((after[name]?.data[i] as number) - x), `${name} ${i}`).toBeLessThan(2e-4);
  const metrics = ppoMetrics({
    kl: whole.old_log_probs.map((row, i) => row.map((x, t) => x - (whole.ref_log_probs[i]?.[t] as number))),
    logProbs: whole.old_log_probs,
    scores: whole.scores,
    terminated: whole.responses.map((ids) => ids.includes(2)),
    klCoef: o.kl_coef as number,
    updates,
  });
  for (const [name, x] of Object.entries(whole.metrics)) {
    // Not of the figures; and TRL goes on behind an end of text here, and counts a second one.
    if (["eps", "lr", "episode", "val/num_eos_tokens"].includes(name)) continue;
    // PyTorch's variance over the updates is the unbiased one.
    const wanted = name === "val/ratio_var" ? (x * (updates.length - 1)) / updates.length : x;
    expect(metrics[name], name).toBeCloseTo(wanted, 4);
  }
  await updater.free();
});

it("the gradients of policy and critic", async () => {
  const updater = await createUpdater(engine, parts, { policy: sgd(), critic: sgd() }, updateOptions);
  await updater.update(experience, planUpdates(sequences, { ...plan, numPpoEpochs: 1 }), {
    temperature: o.temperature as number,
    learningRate: 1,
    criticLearningRate: 1,
  });
  const after = await updater.parameters();
  for (const [part, model, prefix] of [
    ["policy", policy, "gradient.policy"],
    ["critic", critic, "gradient.value_model"],
  ] as const)
    for (const [name, { data }] of Object.entries(below(prefix))) {
      const before = model.parameters[name]?.data as Float32Array;
      for (const [i, x] of (data as Float32Array).entries())
        expect((before[i] as number) - (after[part]?.[name]?.data[i] as number), `${name} ${i}`).toBeCloseTo(
          x,
          4,
        );
    }
  await updater.free();
});
