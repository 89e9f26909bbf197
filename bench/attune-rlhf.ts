/** Attune's trainers as a contestant of TRL's: whole calls of the public functions, timed from update to update. */
import { readFile } from "node:fs/promises";
import { loadModel } from "../src/models/index.ts";
import { dpo } from "../src/train/dpo.ts";
import { grpo } from "../src/train/grpo.ts";
import { ppo } from "../src/train/ppo.ts";
import { reward } from "../src/train/reward.ts";
import { rloo } from "../src/train/rloo.ts";
import { type WorkOptions, workOf, writeWork } from "./rlhf-work.ts";
import { withEngine } from "./with-engine.ts";

/** What a benchmark asks for: see `rlhf.ts`. */
export interface RlhfRequest {
  readonly folder: string;
  readonly size: string;
  readonly batch: number;
  /** Measured updates or iterations. */
  readonly steps: number;
  readonly new_tokens: number;
  readonly epochs: number;
  readonly seed: number;
}

/** Updates before the clock starts. */
const warmup = 2;

/** When each update ended. */
function stamps() {
  const times: number[] = [];
  return {
    onStep: () => void times.push(performance.now()),
    /** Mean seconds of the updates after the warm-up. */
    seconds: () =>
      ((times.at(-1) as number) - (times[warmup - 1] as number)) / 1000 / (times.length - warmup),
  };
}

export const prepareRlhf = (options: WorkOptions, threads: number) =>
  withEngine(threads, async (engine) => {
    await writeWork(engine, options);
    return {};
  });

/** What pairs are trained with on both sides; the rows stay in the order that `writeWork` told the others. */
const pairOptions = ({ batch, steps, seed }: RlhfRequest) => ({
  batchSize: batch,
  maxSteps: steps + warmup,
  maxLength: 512,
  groupByLength: false,
  lrSchedulerType: "constant" as const,
  seed,
});

export const dpoUpdates = (request: RlhfRequest, threads: number) =>
  withEngine(threads, async (engine) => {
    const { policy, rows } = workOf(request.folder, request.size);
    const clock = stamps();
    const model = await loadModel(policy);
    const { metrics } = await dpo(
      { ...pairOptions(request), model, data: rows, engine, learningRate: 1e-6, beta: 0.1 },
      clock,
    );
    return { seconds: clock.seconds(), tokens: metrics.num_tokens as number };
  });

export const rewardUpdates = (request: RlhfRequest, threads: number) =>
  withEngine(threads, async (engine) => {
    const { reward: start, rows } = workOf(request.folder, request.size);
    const clock = stamps();
    const model = await loadModel(start);
    const { metrics } = await reward(
      { ...pairOptions(request), model, data: rows, engine, learningRate: 1e-5 },
      clock,
    );
    return { seconds: clock.seconds(), tokens: metrics.num_tokens as number };
  });

const promptOf = (ids: number[], line: number) => ({
  ids: Int32Array.from(ids),
  text: "",
  row: {},
  source: { file: "prompts", line },
});

const promptsOf = async (path: string) =>
  (await readFile(path, "utf8"))
    .trim()
    .split("\n")
    .map((line, i) => promptOf(JSON.parse(line).input_ids, i));

/** Likes responses with tokens of an even id, so that rewards of a group differ; the same on the other side. */
const evenShare = (batch: readonly { readonly completionIds?: readonly number[] }[]): number[] =>
  batch.map(({ completionIds: ids = [] }) => ids.filter((id) => id % 2 === 0).length / ids.length);

/** Iterations of a method with groups, with TRL's defaults: GRPO without a KL, RLOO with one. */
const groupIterations =
  (train: typeof grpo | typeof rloo) =>
  (request: RlhfRequest & { readonly group: number }, threads: number) =>
    withEngine(threads, async (engine) => {
      const { policy, prompts } = workOf(request.folder, request.size);
      const clock = stamps();
      await train(
        {
          model: await loadModel(policy),
          engine,
          reward: evenShare,
          prompts: await promptsOf(prompts),
          batchSize: request.batch,
          numGenerations: request.group,
          maxCompletionLength: request.new_tokens,
          maxSteps: request.steps + warmup,
          learningRate: 1e-6,
          lrSchedulerType: "constant",
          seed: request.seed,
        },
        clock,
      );
      return { seconds: clock.seconds() };
    });

export const grpoIterations = groupIterations(grpo);
export const rlooIterations = groupIterations(rloo);

/** Seconds of an iteration and of its parts. */
export const ppoIterations = (request: RlhfRequest, threads: number) =>
  withEngine(threads, async (engine) => {
    const { policy, reward: rewardModel, prompts } = workOf(request.folder, request.size);
    const [model, critic] = [await loadModel(policy), await loadModel(rewardModel)];
    const clock = stamps();
    const parts = { rollout: 0, score: 0, update: 0 };
    let step = 0;
    await ppo(
      {
        model,
        critic,
        engine,
        reward: critic,
        prompts: await promptsOf(prompts),
        batchSize: request.batch,
        responseLength: request.new_tokens,
        numPpoEpochs: request.epochs,
        maxSteps: request.steps + warmup,
        klCoef: 0.05,
        learningRate: 1e-6,
        lrSchedulerType: "constant",
        seed: request.seed,
      },
      {
        onStep({ metrics }) {
          clock.onStep();
          if (++step > warmup)
            for (const name of Object.keys(parts) as (keyof typeof parts)[])
              parts[name] += (metrics[`time/${name}`] as number) / request.steps;
        },
      },
    );
    return { seconds: clock.seconds(), ...parts };
  });
