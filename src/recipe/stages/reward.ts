/** The stage `reward`: a Bradley-Terry reward model, or an ensemble, from pairs, rankings or ratings. */
import { z } from "zod";
import { preferencePreflight } from "../../data/preflight.ts";
import { chatTemplateFrom } from "../../models/chat/node-template.ts";
import { rewardEncoders } from "../../models/towers.ts";
import { combinations } from "../../reward/ensemble/combine.ts";
import { refuseIdle } from "../../train/idle-options.ts";
import { checkEnsemble, rewardEnsemble } from "../../train/reward/reward-ensemble.ts";
import { type RewardStart, reward, rewardSettings } from "../../train/reward.ts";
import { rewardDefaults as d, rewardLossTypes } from "../../train/reward-options.ts";
import {
  adapterKeys,
  choice,
  count,
  courseKeys,
  evalKeys,
  flag,
  fromZero,
  modelKey,
  optimizerKeys,
  pairRowKeys,
  runKeys,
  share,
  text,
  texts,
} from "../keys.ts";
import { stageKind } from "../stage.ts";
import { trainingHooks, trainingOptions } from "../training.ts";

export const rewardStage = stageKind({
  name: "reward",
  description: "train a reward model on pairs of a preferred and another answer",
  keys: z.strictObject({
    model: modelKey("a language model or an encoder, which gets a score head, or a reward model"),
    ...pairRowKeys,
    encoder: choice(
      rewardEncoders,
      "how prompt and response are read: as one row, apart by two backbones, or apart by one (default: joint, or the model's own)",
    ),
    pooling: choice(
      ["last", "mean", "cls"],
      "which hidden state is scored (default: last, of encoders cls, of what is read apart mean)",
    ),
    new_head: flag("draw a new score head also for a model that has one", { default: false }),
    members: count(
      "train an ensemble of so many, which differ by the seed of their head and the order of their data",
      {
        default: 1,
      },
    ),
    shared_backbone: flag("the members are heads of one model", { default: false }),
    combine: choice(
      combinations,
      "how members' scores become one: their mean, the worst, or mean - lambda * variance",
      {
        default: d.combine,
      },
    ),
    lambda: fromZero("of uwo: what the variance over the members costs", { default: d.lambda }),
    loss_type: choice(
      rewardLossTypes,
      "what is learned from: pairs (also every two of a ranking or a prompt's ratings), whole rankings, or ratings",
      { default: d.lossType },
    ),
    rating_margin: fromZero("pairs made of ratings get this times their difference as margin", {
      default: d.ratingMargin,
    }),
    objectives: texts(
      "heads with labels of their own beside the overall one, such as helpful, harmless, honest",
    ),
    label_smoothing: share("share of labels that is taken to be the wrong way round", {
      default: d.labelSmoothing,
    }),
    head_dropout: share("share of features that a head does not see, drawn anew at each step", {
      default: d.headDropout,
    }),
    gradient_penalty: fromZero("weight of the squared norm of a margin's gradient by the embeddings", {
      default: d.gradientPenalty,
    }),
    sft_coefficient: fromZero(
      "weight of the chosen answer's likelihood, which keeps the model one of language",
      { default: d.sftCoefficient },
    ),
    feature_statistics: flag("save what usual responses look like, for unusual_penalty of a reward", {
      default: d.featureStatistics,
    }),
    center_rewards_coefficient: fromZero("weight of (r_chosen + r_rejected)^2, which keeps scores near 0", {
      default: d.centerRewardsCoefficient,
    }),
    ties: choice(["drop", "davidson", "rao_kupper"], "pairs of which none is better", { default: d.ties }),
    tie_share: share("how often equally good answers are taken to tie", { default: "1/3" }),
    normalize_rewards: flag("scores get mean 0 and std 1 on some responses", { default: d.normalizeRewards }),
    normalize_data: texts("those responses, as prompts with completions (default: the held-out pairs')"),
    chat_template: text(
      "for conversations: chatml, human-assistant, plain, or a file (default: the model's)",
    ),
    ...evalKeys(d),
    ...courseKeys(d),
    ...optimizerKeys(d),
    ...runKeys(d),
    ...adapterKeys,
  }),
  required: ["model", "data"],
  models: ["model"],
  leavesModel: true,
  answers: false,
  shown: ["loss", "accuracy", "eval_accuracy", "margin"],
  next: (output) => `the reward model is in ${output}; try: attune score --model ${output} --data FILE`,
  check: ({ members = 1, objectives, ...options }) => {
    const given = {
      ...options,
      ...(objectives !== undefined && { objectives: listed(objectives as string) }),
    };
    if (members !== 1) return checkEnsemble({ members, ...given } as never);
    refuseIdle<Parameters<typeof checkEnsemble>[0]>(given, [
      { names: ["combine", "lambda", "sharedBackbone"], holds: () => false, needs: "members of at least 2" },
    ]);
    rewardSettings(given as never);
  },
  async run({ normalize_data, members = 1, shared_backbone, objectives, ...keys }, context) {
    let data = { rows: 0, skipped: 0 };
    const train = members === 1 ? reward : rewardEnsemble;
    const {
      report,
      heldOut: _,
      ...result
    } = await train(
      {
        ...trainingOptions(keys, context),
        members,
        ...(objectives !== undefined && { objectives: listed(objectives) }),
        ...(shared_backbone !== undefined && { sharedBackbone: shared_backbone }),
        model: await context.model(keys.model as string),
        data: context.data(keys.data as string),
        ...(keys.eval_data !== undefined && { evalData: context.data(keys.eval_data) }),
        ...(normalize_data !== undefined && { normalizeData: context.data(normalize_data) }),
        ...(keys.chat_template !== undefined && { chatTemplate: await chatTemplateFrom(keys.chat_template) }),
      },
      trainingHooks(context, ({ train, eval: held, tokenizer, totalSteps, step, tokens }: RewardStart) => {
        data = { rows: train.rows, skipped: train.skipped.length };
        const preflight = "pairs" in train ? preferencePreflight(train, tokenizer) : undefined;
        return {
          ...(preflight && { preflight }),
          ...(held && { heldOut: held.rows }),
          totalSteps,
          step,
          tokens,
        };
      }),
    );
    const isFolder = members > 1 && !shared_backbone;
    return { ...result, data, ...(report && { rewardModel: report }), ...(isFolder && { members }) };
  },
});

/** `helpful,harmless` on the command line is a list too. */
const listed = (names: string | readonly string[]): string[] =>
  [names].flat().flatMap((name) => name.split(",").map((part) => part.trim()));
