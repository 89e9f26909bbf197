/** What stages that answer prompts share: the keys that say which prompts and which reward, and how both are read. */
import { z } from "zod";
import { loadPrompts, type PromptDataset } from "../data/prompts.ts";
import { pairTruncations } from "../data/truncation.ts";
import type { Model } from "../models/load.ts";
import type { Tokenizer } from "../models/tokenizer/tokenizer.ts";
import { RecipeError } from "./errors.ts";
import { choice, count, rowKeys, text } from "./keys.ts";
import type { StageContext } from "./stage.ts";

const { format, on_bad_row } = rowKeys;

/** How prompts are read, from files that may hold more than prompts. */
export const promptReadingKeys = {
  format,
  separator: text("what stands between the documents of a text file, whose beginnings are the prompts"),
  on_bad_row,
  max_prompt_length: count("tokens of a prompt (default: what the context leaves beside a response)"),
  prompt_truncation: choice(pairTruncations, "prompts that are longer", { default: "keep_end" }),
};

export const promptKeys = { data: rowKeys.data, ...promptReadingKeys };

/** A reward as it may be written; the name of an earlier stage means its model. */
export const rewardKey = z.unknown().optional().meta({
  description: "what scores responses: a reward model, ./module.ts, a rule, a URL, a weighted sum, a stage",
});

type Reading = z.infer<z.ZodObject<typeof promptReadingKeys>>;

/** The keys without those that say how prompts are read. */
export const withoutReading = <K extends object>(keys: K): Omit<K, keyof Reading> =>
  Object.fromEntries(Object.entries(keys).filter(([key]) => !(key in promptReadingKeys))) as never;

export interface PromptsOfModel extends PromptDataset {
  readonly tokenizer: Tokenizer;
  readonly maxPromptLength: number;
}

/**
 * The prompts as a model reads them, with room for a response.
 *
 * @throws RecipeError when the model has no tokenizer; DataError for rows that cannot be used
 */
export async function promptsOf(
  model: Model,
  data: ReturnType<StageContext["data"]>,
  responseLength: number,
  { format, separator, on_bad_row, max_prompt_length, prompt_truncation }: Reading,
): Promise<PromptsOfModel> {
  const { tokenizer, config, chatTemplate, name } = model;
  if (!tokenizer) throw new RecipeError(`${name}: the model has no tokenizer, and prompts are text`);
  const maxPromptLength = max_prompt_length ?? config.maxPositions - responseLength;
  if (maxPromptLength < 1)
    throw new RecipeError(
      `response_length ${responseLength}: the context of ${name} is ${config.maxPositions} tokens, prompts need some; lower it`,
    );
  const prompts = await loadPrompts(data, tokenizer, {
    maxPromptLength,
    ...(format !== undefined && { format }),
    ...(separator !== undefined && { separator }),
    ...(on_bad_row && { onBadRow: on_bad_row }),
    ...(prompt_truncation && { promptTruncation: prompt_truncation }),
    ...(chatTemplate !== undefined && { chatTemplate }),
  });
  return { ...prompts, tokenizer, maxPromptLength };
}
