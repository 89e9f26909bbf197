/**
 * A reward model as a `Reward`.
 *
 * Where the policy has the reward model's tokenizer, what is scored are the ids that were sampled; they are never
 * decoded and tokenised again. Else the text is tokenised with the reward model's own tokenizer, and a conversation is
 * written with its own chat template. A response that was cut off by the limit of tokens has no end of text.
 */
import { encodeExchange } from "../data/exchange.ts";
import { fitLength } from "../data/fit-length.ts";
import type { Message, Text } from "../data/rows.ts";
import type { Engine } from "../graph/index.ts";
import { configuredTemplate } from "../models/chat/chat-template.ts";
import type { Model } from "../models/load.ts";
import { sameTokenizer } from "../models/tokenizer/same-tokenizer.ts";
import type { Tokenizer } from "../models/tokenizer/tokenizer.ts";
import { type CombineOptions, combined } from "./ensemble/combine.ts";
import { type ObjectiveWeights, objectivesOf, weighing } from "./objectives.ts";
import { checked, type OpenedReward, RewardError, type RewardInput, type RewardParts } from "./reward.ts";
import type { ResponseParts } from "./rows.ts";
import { createHeadScorer, headNames, type ScorerOptions } from "./scorer.ts";
import { featureStatisticsOf } from "./unusual.ts";

export interface CheckpointRewardOptions extends ScorerOptions, CombineOptions {
  readonly engine: Engine;
  /** Of the policy whose ids are scored; without it everything is read as text. */
  readonly policyTokenizer?: Tokenizer;
  /** Name for messages. Default: the model's. */
  readonly name?: string;
  /**
   * What a response costs for each deviation that it is further from the training responses than these are (unusual.ts).
   * Default 0.
   */
  readonly unusualPenalty?: number | undefined;
  /** Of a model with several objectives: what each counts; they are made to sum to 1. Default: the overall one alone. */
  readonly weights?: ObjectiveWeights | undefined;
  /** Something that a person should know. */
  readonly onWarning?: ((text: string) => void) | undefined;
}

export interface Ranked {
  readonly completion: string;
  readonly score: number;
  /** Its place among the completions as they were given. */
  readonly index: number;
}

export interface CheckpointReward extends OpenedReward {
  /** Completions of one prompt, the best first. */
  rank(prompt: Text, completions: readonly string[]): Promise<Ranked[]>;
}

/** The ids of a response behind its prompt, as the reward model reads them. */
export type RowOfResponse = (input: RewardInput) => ResponseParts;

/**
 * Opens a reward model as a reward. One with several scores, an ensemble that shares its backbone, gives them as `parts`.
 *
 * @throws RewardError when the model has no scalar head
 */
export async function checkpointReward(
  model: Model,
  options: CheckpointRewardOptions,
): Promise<CheckpointReward> {
  const { engine, policyTokenizer, name = model.name } = options;
  const rowOf = responseRows(model, policyTokenizer);
  const { unusualPenalty = 0 } = options;
  if (unusualPenalty !== 0 && !featureStatisticsOf(model.config))
    throw new RewardError(
      `${name}: unusual_penalty needs a reward model that knows what is usual; train it with feature_statistics: true`,
    );
  const combine = combinerOf(model, options);
  const scorer = await createHeadScorer(engine, model, options);
  const parts = async (batch: readonly RewardInput[]): Promise<RewardParts> => {
    const { scores: heads, unusual } = await scorer.judged(batch.map(rowOf));
    const { scores, disagreement } = combine(heads, batch);
    return {
      scores: unusual ? scores.map((x, i) => x - unusualPenalty * (unusual[i] as number)) : scores,
      parts: {
        ...Object.fromEntries(scorer.names.map((head, i) => [head, heads[i] as readonly number[]])),
        ...(unusual && { unusual }),
      },
      ...(disagreement && { disagreement }),
    };
  };
  const score = checked(async (batch) => (await parts(batch)).scores, name);
  return {
    name,
    score,
    ...((scorer.names.length > 1 || featureStatisticsOf(model.config)) && { parts }),
    async rank(prompt, completions) {
      const before = typeof prompt === "string" ? { prompt } : { prompt: "", messages: prompt };
      const scores = await score(completions.map((completion) => ({ ...before, completion })));
      return completions
        .map((completion, index) => ({ completion, score: scores[index] as number, index }))
        .sort((a, b) => b.score - a.score || a.index - b.index);
    },
    dispose: () => scorer.dispose(),
  };
}

type Combiner = (
  heads: readonly (readonly number[])[],
  batch: readonly RewardInput[],
) => Pick<RewardParts, "scores" | "disagreement">;

/**
 * How the scores of a model with several are combined: as its configuration says (`ensemble` or `objectives` of
 * config.json), or as asked.
 *
 * @throws RewardError for a model whose several scores are neither
 */
function combinerOf(
  model: Model,
  { combine, lambda, weights, onWarning }: CheckpointRewardOptions,
): Combiner {
  const { config, name } = model;
  if (config.numLabels === 1 || config.numLabels === undefined)
    return ([scores]) => ({ scores: scores as readonly number[] });
  if (config.raw.objectives !== undefined && combine === undefined)
    return weighing(headNames(config), weights ?? objectivesOf(config), { name, onWarning });
  const own = config.raw.ensemble as CombineOptions | undefined;
  if (!own && combine === undefined)
    throw new RewardError(
      `${name}: a reward model with one score is required, or an ensemble; this has ${config.numLabels} scores: ` +
        "say how to combine them (combine: mean, wco or uwo)",
    );
  return (heads) => combined(heads, { combine: combine ?? own?.combine, lambda: lambda ?? own?.lambda });
}

/**
 * How a model reads responses: ids as they are where the policy's tokenizer is its own, else text.
 *
 * @throws RewardError when text is to be read, and the model has no tokenizer
 */
export function responseRows(model: Model, policyTokenizer?: Tokenizer): RowOfResponse {
  const { tokenizer, chatTemplate, config, name } = model;
  const template = chatTemplate ?? (tokenizer && configuredTemplate(tokenizer.config, false));
  const isOwn = policyTokenizer !== undefined && (!tokenizer || sameTokenizer(tokenizer, policyTokenizer));
  const policyTemplate = policyTokenizer && configuredTemplate(policyTokenizer.config, false);
  const writesAlike = template === undefined || policyTemplate === undefined || template === policyTemplate;
  return ({ prompt, completion, promptIds, completionIds, messages, terminated }) => {
    if (isOwn && promptIds && completionIds && (!messages || writesAlike))
      return fitted(promptIds, completionIds, config.maxPositions);
    if (!tokenizer)
      throw new RewardError(
        `${name}: a tokenizer is required to score text, the model has none; save one with it`,
      );
    const asChat = messages !== undefined && template !== undefined;
    const [before, after]: [Text, Text] = asChat
      ? [messages, [{ role: "assistant", content: completion } satisfies Message]]
      : [prompt, completion];
    const eosId = tokenizer.eosId ?? config.eosTokenIds[0];
    const read = encodeExchange(before, [after], tokenizer, {
      ...(asChat && { chatTemplate: template }),
      ...(eosId !== undefined && { eosId }),
    });
    const ids = read.completions[0] as number[];
    const isCut = terminated === false && ids.at(-1) === eosId && eosId !== undefined;
    return fitted(read.prompt, isCut ? ids.slice(0, -1) : ids, config.maxPositions);
  };
}

/** Within the model's context: what stands next to the response stays of the prompt, as in training. */
function fitted(prompt: readonly number[], response: readonly number[], maxLength: number): ResponseParts {
  if (prompt.length + response.length <= maxLength) return { prompt, response };
  const cut = fitLength(prompt, [response], { maxLength });
  return { prompt: cut.prompt, response: cut.completions[0] as Int32Array };
}
