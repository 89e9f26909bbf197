/** What the methods on labelled completions share before the first step, and what they report under TRL's names. */
import type { DataInput } from "../../data/input.ts";
import { type LabelDataset, type Labelled, type LabelOptions, loadLabels } from "../../data/labels.ts";
import {
  add,
  div,
  type HostArray,
  hostArray,
  mul,
  sub,
  sum,
  type Tensor,
  type TensorSpec,
} from "../../graph/index.ts";
import type { Model } from "../../models/load.ts";
import type { Tokenizer } from "../../models/tokenizer/tokenizer.ts";
import { TrainError } from "../errors.ts";
import { textModelOf } from "../loop/text-model.ts";
import type { Course, TrainerHooks, TrainerOptions } from "../loop/trainer-options.ts";
import type { AskHooks, AskOptions } from "./run-trainer.ts";

export interface LabelTrainerOptions
  extends TrainerOptions,
    AskOptions,
    Partial<Omit<LabelOptions, "chatTemplate" | "eosId">> {
  /** The policy at the start. */
  readonly model: Model;
  /** What the policy is compared with; by default the policy at the start. */
  readonly refModel?: Model;
  /** Labelled completions, or pairs, which are two of them each: files, hub ids, or rows. */
  readonly data: DataInput;
  readonly evalData?: DataInput;
  /** A name or Jinja source, instead of the model's own template. */
  readonly chatTemplate?: string;
  /** How much a completion that is desirable counts. */
  readonly desirableWeight?: number;
  /** How much one counts that is not. */
  readonly undesirableWeight?: number;
}

export interface LabelStart extends Course {
  readonly train: LabelDataset;
  readonly eval?: LabelDataset;
  readonly tokenizer: Tokenizer;
}

export interface LabelHooks extends TrainerHooks<LabelStart>, AskHooks {}

/** @throws DataError or TrainError with what is required, what came and what to do */
export async function openLabels(
  trainer: string,
  o: LabelTrainerOptions & { readonly maxLength: number },
  given: LabelTrainerOptions,
  hooks: LabelHooks,
) {
  const { model, tokenizer, maxLength, reading } = textModelOf(o.model, given, {
    trainer,
    defaultLength: o.maxLength,
  });
  const load = (data: DataInput) => loadLabels(data, tokenizer, { ...o, ...reading });
  const train = await load(o.data);
  const missing = missingLabel(trainer, train.examples);
  if (missing !== undefined) hooks.onWarning?.(missing);
  const held = o.evalData === undefined ? undefined : await load(o.evalData);
  const onStart = (course: Course) => hooks.onStart?.({ ...course, train, eval: held, tokenizer });
  return { model, maxLength, train, held, hooks: { ...hooks, onStart } };
}

/** @throws TrainError for figures outside their range */
export function checkLabelled(
  o: Required<Pick<LabelTrainerOptions, "desirableWeight" | "undesirableWeight">> & { readonly beta: number },
): void {
  if (!(o.beta > 0 && Number.isFinite(o.beta)))
    throw new TrainError(`beta: a number above 0 is required, got ${o.beta}`);
  for (const [key, weight] of [
    ["desirable_weight", o.desirableWeight],
    ["undesirable_weight", o.undesirableWeight],
  ] as const)
    if (!(weight >= 0 && Number.isFinite(weight)))
      throw new TrainError(`${key}: a number of at least 0 is required, got ${weight}`);
}

/** What to say of completions that all have the same label: there is nothing to tell them from. */
export function missingLabel(trainer: string, labels: Iterable<Pick<Labelled, "label">>): string | undefined {
  let count = 0;
  let same: boolean | undefined;
  for (const { label } of labels) {
    same ??= label;
    if (label !== same) return undefined;
    count++;
  }
  if (same === undefined) return undefined;
  return (
    `${trainer}: all of the completions (${count}) are ${same ? "desirable" : "undesirable"}, ` +
    `so nothing is compared and the policy only learns to ${same ? "repeat" : "avoid"} them; ` +
    `add rows whose label is ${!same}${same ? ", or learn from these by sft" : ""}`
  );
}

const best = [1, 4 / 3] as const;

/**
 * What Ethayarajh et al. 2024 advise (eq. 8): desirable completions times their weight should be 1 to 4/3 times as many
 * as the others times theirs. Where one label is missing, `missingLabel` says so instead.
 */
export function weightAdvice(
  labels: Iterable<Pick<Labelled, "label">>,
  o: Required<Pick<LabelTrainerOptions, "desirableWeight" | "undesirableWeight">>,
): string | undefined {
  let [good, bad] = [0, 0];
  for (const { label } of labels) label ? good++ : bad++;
  const ratio = (good * o.desirableWeight) / (bad * o.undesirableWeight);
  if (good === bad || (ratio >= best[0] && ratio <= best[1]) || good * bad === 0) return undefined;
  const range = best.map((r) => ((r * bad * o.undesirableWeight) / good).toFixed(2));
  return (
    `there are ${good} desirable completions and ${bad} others; ` +
    `a desirable_weight from ${range.join(" to ")} would balance them`
  );
}

const perRow: TensorSpec = { dtype: "float32", shape: ["B"] };

/** The labels of a batch: `desirable` [B] is 1 or 0. */
export const labelArrays = {
  specs: { desirable: perRow },
  arrays: (rows: readonly Pick<Labelled, "label">[]): Record<string, HostArray> => ({
    desirable: hostArray(
      "float32",
      [rows.length],
      rows.map(({ label }) => Number(label)),
    ),
  }),
};

/** The weight of each row [B]. */
export const rowWeights = (
  desirable: Tensor,
  o: { readonly desirableWeight: number; readonly undesirableWeight: number },
): Tensor => add(mul(desirable, o.desirableWeight - o.undesirableWeight), o.undesirableWeight);

/** Sums that `labelSummary` divides: micro-batches may have any share of desirable rows. */
export function labelMetrics(
  { rewards, logps, desirable }: Readonly<Record<"rewards" | "logps" | "desirable", Tensor>>,
  items: Tensor,
): Record<string, Tensor> {
  const share = (x: Tensor) => div(sum(x), items);
  const other = sub(1, desirable);
  return {
    "share/chosen": share(desirable),
    "rewards/chosen": share(mul(rewards, desirable)),
    "rewards/rejected": share(mul(rewards, other)),
    "logps/chosen": share(mul(logps, desirable)),
    "logps/rejected": share(mul(logps, other)),
  };
}

/** Means over the rows of each label, where there are such. */
export function labelSummary({ "share/chosen": share = 0, ...sums }: Record<string, number>) {
  const found: Record<string, number> = {};
  for (const [name, value] of Object.entries(sums)) {
    const part = name.endsWith("/chosen") ? share : name.endsWith("/rejected") ? 1 - share : 1;
    if (part > 1e-6) found[name] = value / part;
  }
  const { "rewards/chosen": chosen, "rewards/rejected": rejected } = found;
  if (chosen !== undefined && rejected !== undefined) found["rewards/margins"] = chosen - rejected;
  return found;
}
