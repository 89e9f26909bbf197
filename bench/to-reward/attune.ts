/** Attune in ppo-to-reward: trains with the clock stopped while a snapshot is saved; and scores anybody's snapshots by gold. */
import { join } from "node:path";
import { createGenerator } from "../../src/generate/index.ts";
import { unflatten } from "../../src/graph/index.ts";
import { loadModel } from "../../src/models/index.ts";
import { checkpointReward, openReward } from "../../src/reward/index.ts";
import { createPpo } from "../../src/train/index.ts";
import { scoreResponses } from "../../src/train/policy/rollouts.ts";
import { promptsAt } from "../../src/train/policy/run/prompts.ts";
import { withEngine } from "../with-engine.ts";
import { gold, readTaskPrompts, type TaskOptions, writeTask } from "./task.ts";
import { taskPaths } from "./task-paths.ts";

/** What both sides are asked; a snapshot is the folder `snapshots/STEP`. */
export interface ToRewardRequest {
  readonly policy: string;
  readonly reward: string;
  readonly prompts: string;
  readonly snapshots: string;
  readonly seed: number;
  readonly new_tokens: number;
  /** Responses of an iteration, and updates of one pass over them. */
  readonly batch: number;
  readonly mini_batches: number;
  readonly missing_eos_penalty: number;
  /** Iterations, and how many lie between snapshots. */
  readonly steps: number;
  readonly snapshot_every: number;
  /** Of the grid. */
  readonly learning_rate: number;
  readonly num_ppo_epochs: number;
  readonly kl_coef: number;
}

export const prepareToReward = (options: TaskOptions, threads: number) =>
  withEngine(threads, async (engine) => {
    await writeTask(engine, options);
    return {};
  });

/** Seconds of training up to each snapshot, graphs and compiling included; models are loaded before. */
export const ppoToReward = (request: ToRewardRequest, threads: number) =>
  withEngine(threads, async (engine) => {
    const model = await loadModel(request.policy);
    const judge = await loadModel(request.reward);
    const prompts = await readTaskPrompts(request.prompts);
    const seconds: number[] = [];
    let started = performance.now();
    const reward = await checkpointReward(judge, {
      engine,
      batchSize: request.batch,
      ...(model.tokenizer && { policyTokenizer: model.tokenizer }),
    });
    const trainer = await createPpo(
      {
        model,
        critic: judge,
        engine,
        batchSize: request.batch,
        numMiniBatches: request.mini_batches,
        numPpoEpochs: request.num_ppo_epochs,
        learningRate: request.learning_rate,
        lrSchedulerType: "constant",
        // PyTorch's, which TRL takes.
        adamEpsilon: 1e-8,
        epsilonPlacement: "pytorch",
        klCoef: request.kl_coef,
        missingEosPenalty: request.missing_eos_penalty,
        responseLength: request.new_tokens,
        seed: request.seed,
      },
      { totalSteps: request.steps },
    );
    let total = 0;
    for (let step = 0; step < request.steps; step++) {
      const batch = promptsAt(prompts, step, request.batch, request.seed);
      const responses = await trainer.rollout(batch);
      const rewards = await scoreResponses(reward.score, batch, responses);
      await trainer.step({ prompts: batch, responses, rewards });
      if ((step + 1) % request.snapshot_every) continue;
      total += (performance.now() - started) / 1000;
      seconds.push(total);
      await (await trainer.policy()).save(join(request.snapshots, String(step + 1)));
      started = performance.now();
    }
    await trainer.dispose();
    await reward.dispose();
    return { seconds };
  });

/** Gold of one response to each held-out prompt, and the share of them that end; off everybody's clock. */
export const goldOf = ({ folder, snapshot, new_tokens, samples, seed }: GoldRequest, threads: number) =>
  withEngine(threads, async (engine) => {
    const { config, parameters, tokenizer } = await loadModel(snapshot);
    if (!tokenizer) throw new Error(`${snapshot}: a tokenizer is required`);
    const prompts = await readTaskPrompts(taskPaths(folder).held_out);
    const weights = await engine.put(unflatten(parameters));
    const generator = createGenerator(engine, config, weights);
    const found = await generator.generate(
      prompts.map(({ ids }) => Array.from(ids)),
      { tokenizer, maxNewTokens: new_tokens, samples, seed, batchSize: 64 },
    );
    await generator.dispose();
    const { score } = await openReward(gold);
    const scores = await score(
      found.map(({ prompt, text = "", finishReason }) => ({
        prompt: (prompts[prompt] as { text: string }).text,
        completion: text,
        terminated: finishReason !== "length",
      })),
    );
    const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;
    return {
      gold: mean(scores),
      ended: mean(found.map(({ finishReason }) => (finishReason === "length" ? 0 : 1))),
      length: mean(found.map(({ ids }) => ids.length)),
    };
  });

export interface GoldRequest {
  readonly folder: string;
  readonly snapshot: string;
  readonly new_tokens: number;
  readonly samples: number;
  readonly seed: number;
}
