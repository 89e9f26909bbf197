/** The stage `multi-turn`: a policy learns in an environment of several turns. */
import { z } from "zod";
import { chatTemplateFrom } from "../../../models/chat/node-template.ts";
import {
  multiTurnDefaults as d,
  type MultiTurnOptions,
  multiTurn,
  multiTurnSettings,
} from "../../../train/multi-turn.ts";
import type { PolicyStart } from "../../../train/policy/run/iterations.ts";
import { count, fromZero, text } from "../../keys.ts";
import { stageKind } from "../../stage.ts";
import { trainingHooks, trainingOptions } from "../../training.ts";
import { optimizedKeys } from "./online-stage.ts";

const { model, ref_model, int8_reference, response_length, temperature, ...rest } = optimizedKeys(d);
const {
  reward: _reward,
  data: _data,
  format: _format,
  separator: _separator,
  on_bad_row: _bad,
  max_prompt_length: _longest,
  prompt_truncation: _truncation,
  missing_eos_penalty: _penalty,
  prompts_per_step: _prompts,
  num_train_epochs: _epochs,
  max_steps: _steps,
  ...optimized
} = rest;

export const multiTurnStage = stageKind({
  name: "multi-turn",
  description: "improve a model by conversations in an environment",
  keys: z.strictObject({
    model,
    ref_model,
    int8_reference,
    environment: text("conversation, or a module: ./mine.ts#name, which makes environments", {
      default: "conversation",
    }),
    chat_template: text(
      "how turns are written: chatml, human-assistant, plain, or a file (default: the model's, else plain)",
    ),
    max_turns: count("turns of the model, at most; an environment that never ends is broken off", {
      default: d.maxTurns,
    }),
    prompts_per_step: count("openings of an iteration", { default: d.promptsPerStep }),
    num_generations: count("episodes from each opening", { default: d.numGenerations }),
    num_openings: count("different openings", { default: d.numOpenings }),
    beta: fromZero("weight of the KL to the reference", { default: d.beta }),
    response_length,
    temperature,
    max_steps: count("iterations (default: as many as take each opening once)"),
    ...optimized,
  }),
  required: ["model"],
  models: ["model", "ref_model"],
  leavesModel: true,
  answers: true,
  shown: ["objective/scores", "episodes/turns", "episodes/terminated", "objective/kl", "eps"],
  next: (output) => `the policy is in ${output}/model; try: attune chat --model ${output}`,
  check: (options) => void multiTurnSettings(options as never),
  async run({ ref_model: reference, environment = "conversation", chat_template, ...keys }, context) {
    const options: MultiTurnOptions = {
      ...trainingOptions(keys, context),
      model: await context.model(keys.model as string),
      environment,
      ...(reference !== undefined && { refModel: await context.model(reference) }),
      ...(chat_template !== undefined && { chatTemplate: await chatTemplateFrom(chat_template) }),
    };
    let rows = 0;
    const result = await multiTurn(
      options,
      trainingHooks(context, ({ prompts, totalSteps, step, tokens }: PolicyStart) => {
        rows = prompts.rows;
        return { totalSteps, step, tokens };
      }),
    );
    return { ...result, data: { rows, skipped: 0 } };
  },
});
