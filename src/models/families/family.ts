/** What a page of a model family gives. */
import type { Tensor } from "../../graph/index.ts";
import type { ModelConfig } from "../config/config.ts";
import type { Weights } from "./layers.ts";
import type { Sequence } from "./sequence.ts";

export interface FamilyModel {
  /** Name of the token embedding [V, C], which is also the output projection where the two are tied. */
  readonly embedding: string;
  /** Name of the output projection [V, C] where it is not tied. */
  readonly head: string;
  /** Projections are stored [in, out], not [out, in]. */
  readonly inputsFirst?: boolean;
  /** Every parameter below the heads: Hugging Face name and shape. */
  parameters(config: ModelConfig): Record<string, number[]>;
  /** Last hidden states, normalised, as rows [N, C] of the tokens that ask in the last layer. */
  hidden(config: ModelConfig, weights: Weights, sequence: Sequence): Tensor;
  /** An encoder: a token sees both sides, and there is no next one to predict. */
  readonly encoder?: true;
  /** What stands between a row's pooled hidden state and its scores; without it the bias-free `score.weight`. */
  readonly scoreHead?: ScoreHead;
}

/** The head of a sequence classifier, as transformers has it. */
export interface ScoreHead {
  /** Name and shape of its parameters, for `numLabels` scores. */
  parameters(config: ModelConfig, numLabels: number): Record<string, number[]>;
  /** Parameters of the bare model too, which checkpoints of a language model may lack. */
  readonly pooler?: readonly string[];
  /** Scores [N, labels] of pooled states [N, C]. */
  scores(weights: Weights, pooled: Tensor): Tensor;
}
