/** The model families: a row each. */
import type { Tensor } from "../../graph/index.ts";
import type { Family, ModelConfig } from "../config.ts";
import { gpt2 } from "./gpt2.ts";
import { gptNeo } from "./gpt-neo.ts";
import { gptNeoX } from "./gpt-neox.ts";
import type { Sequence, Weights } from "./layers.ts";
import { llama } from "./llama.ts";

export interface FamilyModel {
  /** Name of the token embedding [V, C], which is also the output projection where the two are tied. */
  readonly embedding: string;
  /** Name of the output projection [V, C] where it is not tied. */
  readonly head: string;
  /** Every parameter below the heads: Hugging Face name and shape. */
  parameters(config: ModelConfig): Record<string, number[]>;
  /** Last hidden states, normalised, as rows [B T, C]. */
  hidden(config: ModelConfig, weights: Weights, sequence: Sequence): Tensor;
}

export const families: Readonly<Record<Family, FamilyModel>> = {
  gpt2,
  llama,
  mistral: llama,
  qwen2: llama,
  qwen3: llama,
  gpt_neox: gptNeoX,
  gpt_neo: gptNeo,
};
