/** Prompts of an on-policy method: read as the policy reads them, checked, and dealt to the iterations. */
import type { RowList } from "../../../data/list.ts";
import { loadPrompts, type PromptDataset, type PromptExample } from "../../../data/prompts.ts";
import { permutation } from "../../../graph/random.ts";
import type { Model } from "../../../models/load.ts";
import { TrainError } from "../../errors.ts";
import { textModelOf } from "../../loop/text-model.ts";
import type { PromptedOptions } from "../../prompted-options.ts";

/** What of a trainer's options says which prompts there are and how they are read. */
export type PromptReading = Pick<
  PromptedOptions,
  | "model"
  | "prompts"
  | "lora"
  | "chatTemplate"
  | "maxPromptLength"
  | "format"
  | "separator"
  | "onBadRow"
  | "promptTruncation"
> & { readonly responseLength: number };

export interface ReadPrompts {
  /** With its chat template. */
  readonly model: Model;
  readonly dataset: PromptDataset;
  readonly survey: Survey;
}

interface Survey {
  /** In tokens. */
  readonly shortest: number;
  readonly longest: number;
  /** What tells these prompts from others. */
  readonly hash: string;
}

/** The policy with its chat template, and the prompts as it reads them. */
export async function readPrompts(o: PromptReading, trainer: string): Promise<ReadPrompts> {
  const { chatTemplate, lora, responseLength, maxPromptLength, prompts, ...rest } = o;
  const { model, tokenizer, maxLength, reading } = textModelOf(
    o.model,
    { lora, ...(chatTemplate !== undefined && { chatTemplate }) },
    { trainer, defaultLength: o.model.config.maxPositions },
  );
  const room = maxLength - responseLength;
  if (room < 1)
    throw new TrainError(
      `response_length: the context of ${model.name} is ${maxLength} tokens, which must also hold a prompt; got ${responseLength}`,
    );
  const longest = Math.min(room, maxPromptLength ?? room);
  const dataset = isTokenised(prompts)
    ? { prompts, rows: prompts.length, skipped: [], formats: {} }
    : await loadPrompts(prompts, tokenizer, { ...rest, ...reading, maxPromptLength: longest });
  const survey = surveyOf(dataset.prompts);
  if (survey.shortest < 1 || survey.longest > longest)
    throw new TrainError(
      `prompts: 1 to ${longest} tokens are required, got prompts of ${survey.shortest} to ${survey.longest}`,
    );
  return { model, dataset, survey };
}

const isTokenised = (prompts: PromptedOptions["prompts"]): prompts is readonly PromptExample[] =>
  Array.isArray(prompts) && prompts.length > 0 && prompts[0].ids instanceof Int32Array;

/** The prompts of an iteration: every epoch has an order of its own, a function of the seed. */
export function promptsAt(
  prompts: RowList<PromptExample>,
  step: number,
  rows: number,
  seed: number,
): PromptExample[] {
  const orders = new Map<number, Uint32Array>();
  return Array.from({ length: rows }, (_, i) => {
    const at = step * rows + i;
    const epoch = Math.floor(at / prompts.length);
    const order = orders.get(epoch) ?? permutation(prompts.length, seed, epoch);
    orders.set(epoch, order);
    return prompts.at(order[at % prompts.length] as number) as PromptExample;
  });
}

/** One pass over the prompts: their lengths in tokens, and FNV-1a over their ids. */
function surveyOf(prompts: RowList<PromptExample>): Survey {
  let [hash, shortest, longest] = [0x811c9dc5, Number.POSITIVE_INFINITY, 0];
  const add = (x: number) => {
    hash = Math.imul(hash ^ x, 0x01000193);
  };
  for (const { ids } of prompts) {
    add(-1);
    for (const id of ids) add(id);
    shortest = Math.min(shortest, ids.length);
    longest = Math.max(longest, ids.length);
  }
  return { shortest, longest, hash: `${prompts.length} prompts, ${(hash >>> 0).toString(16)}` };
}
