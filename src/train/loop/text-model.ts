/** What trainers on text need of a model before they read their rows. */
import { type Model, withChatTemplate } from "../../models/load.ts";
import type { Tokenizer } from "../../models/tokenizer/tokenizer.ts";
import { TrainError } from "../errors.ts";
import type { TrainerOptions } from "./trainer-options.ts";

export interface TextModelOptions extends Pick<TrainerOptions, "lora"> {
  /** A name or Jinja source, instead of the model's own. */
  readonly chatTemplate?: string;
  /** Tokens of a row; by default `defaultLength`, or the model's context where that is shorter. */
  readonly maxLength?: number;
}

export interface TextModel {
  /** With the chat template and its tokens. */
  readonly model: Model;
  readonly tokenizer: Tokenizer;
  readonly maxLength: number;
  /** What readers and tokenisers of rows take. */
  readonly reading: {
    readonly maxLength: number;
    readonly chatTemplate?: string;
    readonly eosId?: number;
  };
}

/**
 * The model with its chat template, its tokenizer and the length of its rows.
 *
 * @throws TrainError when there is no tokenizer, or rows would be longer than the model's context
 */
export function textModelOf(
  given: Model,
  { chatTemplate, maxLength: asked, lora }: TextModelOptions,
  { trainer, defaultLength }: { readonly trainer: string; readonly defaultLength: number },
): TextModel {
  const model = chatTemplate === undefined ? given : withChatTemplate(given, chatTemplate);
  const { config, tokenizer, name } = model;
  if (!tokenizer) throw new TrainError(`${name}: ${trainer} needs a tokenizer, the model has none`);
  if (lora && config.vocabSize !== given.config.vocabSize)
    throw new TrainError(
      `${name}: the chat template adds tokens, whose embeddings an adapter does not train: add them to the model first`,
    );
  const { maxPositions, eosTokenIds } = config;
  if (asked !== undefined && asked > maxPositions)
    throw new TrainError(`max_length ${asked}: the model's context is ${maxPositions} tokens; lower it`, {
      wrongUsage: true,
    });
  const maxLength = asked ?? Math.min(defaultLength, maxPositions);
  const eosId = tokenizer.eosId ?? eosTokenIds[0];
  return {
    model,
    tokenizer,
    maxLength,
    reading: {
      maxLength,
      ...(model.chatTemplate !== undefined && { chatTemplate: model.chatTemplate }),
      ...(eosId !== undefined && { eosId }),
    },
  };
}
