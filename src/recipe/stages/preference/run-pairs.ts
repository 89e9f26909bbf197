/** How a stage on pairs runs its trainer, whichever it is. */
import { preferencePreflight } from "../../../data/preflight.ts";
import type { FitResult } from "../../../train/loop/fit.ts";
import type { PairHooks, PairStart, PairTrainerOptions } from "../../../train/preference/pair-data.ts";
import type { StageContext, StageKeys, StageResult } from "../../stage.ts";
import { trainingHooks, trainingOptions } from "../../training.ts";

type PairTrainer = (options: PairTrainerOptions, hooks: PairHooks) => Promise<FitResult>;

/** `ref_model` becomes the option `refModel`, the other keys those of the same names. */
export const runPairs =
  (train: PairTrainer) =>
  async ({ ref_model, ...keys }: StageKeys, context: StageContext): Promise<StageResult> => {
    let data = { rows: 0, skipped: 0 };
    const result = await train(
      {
        ...trainingOptions(keys, context),
        model: await context.model(keys.model as string),
        ...(ref_model !== undefined && { refModel: await context.model(ref_model as string) }),
        data: context.data(keys.data as string),
        ...(keys.eval_data !== undefined && { evalData: context.data(keys.eval_data as string) }),
      },
      trainingHooks(context, ({ train, eval: held, tokenizer, totalSteps, step, tokens }: PairStart) => {
        data = { rows: train.rows, skipped: train.skipped.length };
        const preflight = preferencePreflight(train, tokenizer);
        return { preflight, ...(held && { heldOut: held.rows }), totalSteps, step, tokens };
      }),
    );
    return { ...result, data };
  };
