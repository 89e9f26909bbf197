/** What a page of a model family gives. */
import type { Tensor } from "../../graph/index.ts";
import type { ModelConfig } from "../config/config.ts";
import type { Sequence, Weights } from "./layers.ts";

export interface FamilyModel {
  /** Name of the token embedding [V, C], which is also the output projection where the two are tied. */
  readonly embedding: string;
  /** Name of the output projection [V, C] where it is not tied. */
  readonly head: string;
  /** Projections are stored [in, out], not [out, in]. */
  readonly inputsFirst?: boolean;
  /** Every parameter below the heads: Hugging Face name and shape. */
  parameters(config: ModelConfig): Record<string, number[]>;
  /** Last hidden states, normalised, as rows [B T, C]. */
  hidden(config: ModelConfig, weights: Weights, sequence: Sequence): Tensor;
}
