/**
 * A score head on a model: its backbone stays, the language head goes.
 *
 * Decoders get `score.weight` without bias, encoders pooler and classifier, as transformers' sequence classification
 * names and saves them. New weights are drawn as for a new model: those of the scores from N(0, 1/sqrt(C + 1)), so that
 * scores have a variance of about 1 at first (Stiennon et al. 2020). A second backbone, which reads prompts (towers.ts),
 * begins as a copy of the first.
 */
import type { HostArray } from "../graph/index.ts";
import { zerosArray } from "../graph/index.ts";
import type { ModelConfig } from "./config/config.ts";
import { scoreConfig } from "./config/score-config.ts";
import { CheckpointError } from "./errors.ts";
import { type Model, modelOf } from "./load.ts";
import { initialParameters, parameterShapes, scoreHeadOf } from "./model.ts";
import { promptEncoderSource, rewardEncoderOf } from "./towers.ts";

export interface ScoreHeadOptions {
  /** Of what is drawn. */
  readonly seed?: number;
  /** Scores of a row. Default 1. */
  readonly numLabels?: number;
  /** A new head is drawn, or zero; or the head of a model that has one is kept. Default "keep". */
  readonly head?: "keep" | "random" | "zeros";
  /** Entries of config.json. */
  readonly entries?: Readonly<Record<string, unknown>>;
}

/**
 * The model with a score head.
 *
 * @throws CheckpointError when it has another number of scores already, and its head is to be kept
 */
export function withScoreHead(model: Model, options: ScoreHeadOptions = {}): Model {
  const { seed = 0, numLabels = 1, head = "keep" } = options;
  const { config, name } = model;
  if (head === "keep" && (config.numLabels ?? numLabels) !== numLabels)
    throw new CheckpointError(
      `${name}: a model with ${numLabels} score${numLabels === 1 ? "" : "s"} is required, it has ${config.numLabels}`,
    );
  const scored = scoreConfig(padded(model), options);
  const own = new Set(Object.keys(scoreHeadOf(scored).parameters(scored, numLabels)));
  const keepsHead =
    head === "keep" && config.numLabels !== undefined && rewardEncoderOf(config) === rewardEncoderOf(scored);
  const known = (key: string): HostArray | undefined =>
    model.parameters[key] ?? model.parameters[promptEncoderSource(key) ?? ""];
  const missing = Object.keys(parameterShapes(scored)).filter(
    (key) => (own.has(key) && !keepsHead) || !known(key),
  );
  const drawn = missing.length > 0 && head !== "zeros" ? initialParameters(scored, seed) : {};
  const parameters: Record<string, HostArray> = {};
  for (const [key, shape] of Object.entries(parameterShapes(scored)))
    parameters[key] = missing.includes(key)
      ? (drawn[key] ?? zerosArray("float32", shape))
      : (known(key) as HostArray);
  return modelOf({ ...model, config: scored, parameters }, name);
}

/** The token for padding that only the tokenizer knows of. */
function padded({ config, tokenizer }: Model): ModelConfig {
  const padTokenId = config.padTokenId ?? tokenizer?.padId;
  return padTokenId === undefined ? config : { ...config, padTokenId };
}
