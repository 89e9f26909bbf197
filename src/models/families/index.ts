/** The model families: a row each. */
import type { Family } from "../config/config.ts";
import { bert } from "./bert.ts";
import { distilbert } from "./distilbert.ts";
import type { FamilyModel } from "./family.ts";
import { gptNeo } from "./gpt-neo.ts";
import { gptNeoX } from "./gpt-neox.ts";
import { gpt2 } from "./gpt2.ts";
import { llama } from "./llama.ts";

export type { FamilyModel, ScoreHead } from "./family.ts";

export const families: Readonly<Record<Family, FamilyModel>> = {
  gpt2,
  llama,
  mistral: llama,
  qwen2: llama,
  qwen3: llama,
  gpt_neox: gptNeoX,
  gpt_neo: gptNeo,
  bert,
  distilbert,
};
