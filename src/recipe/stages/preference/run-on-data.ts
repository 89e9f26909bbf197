/** How a stage on preference data runs its trainer, whichever it is and whatever its rows are. */
import type { DataInput } from "../../../data/input.ts";
import { preferencePreflight } from "../../../data/preflight.ts";
import type { Model } from "../../../models/load.ts";
import type { Tokenizer } from "../../../models/tokenizer/tokenizer.ts";
import type { FitResult } from "../../../train/loop/fit.ts";
import type { Course, TrainerHooks } from "../../../train/loop/trainer-options.ts";
import type { PairHooks } from "../../../train/preference/pair-data.ts";
import type { StageContext, StageKeys, StageResult, StageStart } from "../../stage.ts";
import { trainingHooks, trainingOptions } from "../../training.ts";

interface Dataset {
  readonly rows: number;
  readonly skipped: readonly string[];
}

/** What a trainer on data tells when it starts. */
interface DataStart<D extends Dataset> extends Course {
  readonly train: D;
  readonly eval?: D;
  readonly tokenizer: Tokenizer;
}

/** Every trainer on data takes these, whatever else. */
interface DataOptions {
  readonly model: Model;
  readonly refModel?: Model;
  readonly data: DataInput;
  readonly evalData?: DataInput;
}

/** `ref_model` becomes the option `refModel`, the other keys those of the same names. */
export const runOnData =
  <D extends Dataset>(
    train: (options: DataOptions, hooks: TrainerHooks<DataStart<D>>) => Promise<FitResult>,
    preflightOf: (data: D, tokenizer: Tokenizer) => StageStart["preflight"],
  ) =>
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
      trainingHooks(context, ({ train, eval: held, tokenizer, totalSteps, step, tokens }: DataStart<D>) => {
        data = { rows: train.rows, skipped: train.skipped.length };
        const preflight = preflightOf(train, tokenizer);
        return {
          ...(preflight && { preflight }),
          ...(held && { heldOut: held.rows }),
          totalSteps,
          step,
          tokens,
        };
      }),
    );
    return { ...result, data };
  };

/** The same for trainers on pairs. */
export const runPairs = (train: (options: DataOptions, hooks: PairHooks) => Promise<FitResult>) =>
  runOnData(train, preferencePreflight);
