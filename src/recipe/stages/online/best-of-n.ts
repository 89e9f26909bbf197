/** The stage `best-of-n`: the best of several samples to each prompt, by a reward; later stages name it as their data. */
import { join } from "node:path";
import { z } from "zod";
import type { PromptExample } from "../../../data/prompts.ts";
import { permutation } from "../../../graph/random.ts";
import { writeWhole } from "../../../runs/write-whole.ts";
import { bestOfKl, bestOfN, bestOfDefaults as d } from "../../../train/best-of-n.ts";
import { meanOf } from "../../../train/online/groups.ts";
import { count, flag, modelKey, positive, whole } from "../../keys.ts";
import { promptKeys, promptsOf, rewardKey } from "../../prompts.ts";
import { stageKind } from "../../stage.ts";

export const bestOfStage = stageKind({
  name: "best-of-n",
  description: "answer each prompt with the best of n samples, by a reward",
  keys: z.strictObject({
    model: modelKey(),
    reward: rewardKey,
    ...promptKeys,
    num_prompts: count("prompts that are taken, chosen by the seed (default: all)"),
    num_samples: count("n, responses to each prompt", { default: d.samples }),
    response_length: count("tokens of a response, at most", { default: d.responseLength }),
    temperature: positive("of sampling", { default: d.temperature }),
    terminated_only: flag("take a response that did not end by itself only where none did", {
      default: d.terminatedOnly,
    }),
    batch_size: count("prompts that are sampled together", { default: d.batchSize }),
    seed: whole("of what is drawn (default: the recipe's)"),
  }),
  required: ["model", "data", "reward"],
  models: ["model", "reward"],
  leavesModel: false,
  limit: "num_prompts",
  rows: "best.jsonl",
  answers: false,
  shown: ["prompts"],
  next: (output) =>
    `the responses are in ${output}/best.jsonl; try: attune sft --data ${output}/best.jsonl ...`,
  async run(keys, context) {
    const model = await context.model(keys.model as string);
    const { response_length: responseLength = d.responseLength, seed = context.seed } = keys;
    const { num_samples: samples = d.samples } = keys;
    const all = await promptsOf(model, context.data(keys.data as string), responseLength, keys);
    const order = [...permutation(all.prompts.length, seed, 3)].slice(0, keys.num_prompts);
    const prompts = order.map((i) => all.prompts.at(i) as PromptExample);
    const opened = await context.reward(keys.reward, model);
    context.onStart({ totalSteps: prompts.length, step: 0, tokens: 0 });
    const rows = await bestOfN({
      model,
      prompts,
      reward: opened.score,
      engine: context.engine,
      samples,
      responseLength,
      seed,
      signal: context.signal,
      ...(keys.temperature !== undefined && { temperature: keys.temperature }),
      ...(keys.terminated_only !== undefined && { terminatedOnly: keys.terminated_only }),
      ...(keys.batch_size !== undefined && { batchSize: keys.batch_size }),
      onProgress: (done, total) =>
        context.onStep({ step: done, totalSteps: total, metrics: { prompts: done } }),
    });
    const stopped = context.signal.aborted;
    if (!stopped)
      await writeWhole(
        join(context.dir, "best.jsonl"),
        rows.map((row) => `${JSON.stringify(row)}\n`).join(""),
      );
    return {
      model,
      metrics: {
        prompts: rows.length,
        "scores/best": meanOf(rows.map(({ score }) => score)),
        "scores/mean": meanOf(rows.flatMap(({ scores }) => scores)),
        frac_reward_zero_std:
          rows.filter(({ scores }) => scores.every((score) => score === scores[0])).length /
          Math.max(1, rows.length),
        kl_bound: bestOfKl(samples),
      },
      steps: prompts.length,
      reason: stopped ? "stopped" : "done",
      data: { rows: all.rows, skipped: all.skipped.length },
    };
  },
});
