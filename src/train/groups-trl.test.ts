/** GRPO, its relatives and RLOO beside TRL 1.16 (test/parity/grpo.py): advantages, the loss, and every gradient's norm. */
import { afterAll, beforeAll, expect, it } from "vitest";
import type { Engine, HostArray } from "../graph/index.ts";
import { createEngine } from "../graph/node.ts";
import { sgd } from "../optim/index.ts";
import { type GrpoLossType, grpoMethod } from "./grpo.ts";
import { trainableOf } from "./loop/trainable.ts";
import { planUpdates } from "./policy/update/plan.ts";
import { createUpdater } from "./policy/update/updater.ts";
import { rlooMethod } from "./rloo.ts";
import { golden, modelOf } from "./trl.fixture.ts";

interface Case {
  readonly options: Readonly<Record<string, number | string | boolean>>;
  readonly prompts: number[][];
  readonly responses: number[][];
  readonly rewards: number[];
  readonly old_log_probs: number[][];
  readonly ref_log_probs?: number[][];
  readonly kl?: number[][];
  readonly advantages: number[];
  readonly loss: number;
  readonly gradients: Readonly<Record<string, number>>;
}

let engine: Engine;
beforeAll(async () => {
  engine = await createEngine({ threads: 1 });
});
afterAll(() => engine.dispose());

const rows = (lists: readonly number[][]) => lists.map((list) => Float64Array.from(list));

for (const [name, c] of Object.entries(golden("grpo") as Record<string, Case>))
  it(`${name}: advantages, loss and gradients are TRL's`, async () => {
    const { options: o } = c;
    const model = await modelOf("llama");
    const common = {
      model,
      prompts: [],
      reward: () => [],
      batchSize: 8,
      numGenerations: o.num_generations as number,
      maxCompletionLength: o.max_completion_length as number,
      epsilon: o.epsilon as number,
      ...(o.epsilon_high !== undefined && { epsilonHigh: o.epsilon_high as number }),
      beta: (o.beta ?? 0) as number,
      temperature: o.temperature as number,
      maxGradNorm: 0,
    };
    const { algorithm, o: settings } = name.startsWith("rloo")
      ? rlooMethod({ ...common, normalizeAdvantages: o.normalize_advantages === true })
      : grpoMethod({
          ...common,
          lossType: o.loss_type as GrpoLossType,
          ...(o.importance_sampling_level && { importanceSamplingLevel: "sequence" }),
          ...(o.scale_rewards && { scaleRewards: o.scale_rewards as "batch" }),
        });
    const sequences = c.responses.map((ids, i) => ({ promptIds: c.prompts[i] as number[], ids }));
    const refLogProbs = c.ref_log_probs && rows(c.ref_log_probs);
    const learned = algorithm.experience({
      sequences,
      oldLogProbs: rows(c.old_log_probs),
      refLogProbs,
      kl: c.kl && rows(c.kl),
      scores: c.rewards,
      terminated: c.responses.map(() => false),
      klCoef: common.beta,
    });
    for (const [i, wanted] of c.advantages.entries())
      expect(learned.advantages[i]?.[0], `advantage ${i}`).toBeCloseTo(wanted, 4);

    const parts = { config: model.config, policy: trainableOf(model) };
    const updater = await createUpdater(engine, parts, { policy: sgd() }, algorithm.update);
    const experience = {
      sequences,
      oldLogProbs: rows(c.old_log_probs),
      refLogProbs,
      klCoef: common.beta,
      ...learned,
    };
    const [update] = await updater.update(experience, planUpdates(sequences, settings), {
      temperature: common.temperature,
      learningRate: 1,
    });
    expect(update?.loss).toBeCloseTo(c.loss, 4);
    const { policy } = await updater.parameters();
    const before = model.parameters as Record<string, HostArray>;
    for (const [path, wanted] of Object.entries(c.gradients)) {
      const [from, to] = [before[path]?.data as Float32Array, policy[path]?.data as Float32Array];
      const norm = Math.sqrt(from.reduce((s, x, i) => s + (x - (to[i] as number)) ** 2, 0));
      expect(Math.abs(norm - wanted), path).toBeLessThan(2e-4 * Math.max(1, wanted));
    }
    await updater.free();
  });
