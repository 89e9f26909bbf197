/** The stage `pairs`: preference pairs from a model's own samples, by a reward; later stages name it as their data. */
import { join } from "node:path";
import { z } from "zod";
import type { PromptExample } from "../../data/prompts.ts";
import { permutation } from "../../graph/random.ts";
import { writeWhole } from "../../runs/write-whole.ts";
import {
  type CollectOptions,
  checkCollect,
  collectPairs,
  collectDefaults as d,
} from "../../train/collect.ts";
import { RecipeError } from "../errors.ts";
import { count, flag, modelKey, positive, share, whole } from "../keys.ts";
import { promptKeys, promptsOf, rewardKey } from "../prompts.ts";
import { stageKind } from "../stage.ts";

export const pairsStage = stageKind({
  name: "pairs",
  description: "collect preference pairs from a model's own samples, by a reward",
  keys: z.strictObject({
    model: modelKey(),
    reward: rewardKey,
    ...promptKeys,
    num_prompts: count("prompts that are taken, chosen by the seed (default: all)"),
    num_samples: count("responses to each prompt; the best is preferred to the worst", {
      default: d.samples,
    }),
    pairs_per_prompt: count(
      "pairs from the responses to a prompt: the best with the worst, the second best with the second worst, ...",
      { default: d.pairsPerPrompt },
    ),
    response_length: count("tokens of a response, at most", { default: d.responseLength }),
    temperature: positive("of sampling", { default: d.temperature }),
    terminated_only: flag("leave out responses that did not end by themselves", {
      default: d.terminatedOnly,
    }),
    noise: share("share of pairs that are turned round, as people slip", { default: d.noise }),
    batch_size: count("prompts that are sampled together", { default: d.batchSize }),
    seed: whole("of what is drawn (default: the recipe's)"),
  }),
  required: ["model", "data", "reward"],
  models: ["model", "reward"],
  leavesModel: false,
  limit: "num_prompts",
  answers: false,
  shown: ["pairs"],
  next: (output) =>
    `the pairs are in ${output}/pairs.jsonl; try: attune dpo --data ${output}/pairs.jsonl ...`,
  check: ({ numSamples, pairsPerPrompt }) =>
    checkCollect({ samples: numSamples, pairsPerPrompt } as CollectOptions),
  async run(keys, context) {
    const model = await context.model(keys.model as string);
    const { response_length: responseLength = d.responseLength, seed = context.seed } = keys;
    const all = await promptsOf(model, context.data(keys.data as string), responseLength, keys);
    const order = [...permutation(all.prompts.length, seed, 3)].slice(0, keys.num_prompts);
    const prompts = order.map((i) => all.prompts.at(i) as PromptExample);
    const opened = await context.reward(keys.reward, model);
    context.onStart({ totalSteps: prompts.length, step: 0, tokens: 0 });
    const pairs = await collectPairs({
      model,
      prompts,
      reward: opened.score,
      engine: context.engine,
      responseLength,
      seed,
      signal: context.signal,
      ...(keys.num_samples !== undefined && { samples: keys.num_samples }),
      ...(keys.pairs_per_prompt !== undefined && { pairsPerPrompt: keys.pairs_per_prompt }),
      ...(keys.temperature !== undefined && { temperature: keys.temperature }),
      ...(keys.terminated_only !== undefined && { terminatedOnly: keys.terminated_only }),
      ...(keys.noise !== undefined && { noise: keys.noise }),
      ...(keys.batch_size !== undefined && { batchSize: keys.batch_size }),
      onProgress: (done, total, pairs) =>
        context.onStep({ step: done, totalSteps: total, metrics: { pairs } }),
    });
    const stopped = context.signal.aborted;
    if (!stopped && pairs.length === 0)
      throw new RecipeError(
        "pairs: the reward scores all responses to every prompt alike, or none ends by itself; take more samples, a longer response_length, or another reward",
      );
    const rows = pairs.map((pair) => `${JSON.stringify(pair)}\n`).join("");
    if (!stopped) await writeWhole(join(context.dir, "pairs.jsonl"), rows);
    return {
      model,
      metrics: { pairs: pairs.length },
      steps: prompts.length,
      reason: stopped ? "stopped" : "done",
      data: { rows: all.rows, skipped: all.skipped.length },
    };
  },
});
