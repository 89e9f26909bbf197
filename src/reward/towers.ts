/**
 * A reward model that reads the prompt and the response apart, with u and v their pooled hidden states:
 *
 *     r = w . [u, v, |u - v|, u v]
 *
 * the features of InferSent (Conneau et al. 2017, section 3.1), of which Sentence-BERT (Reimers and Gurevych 2019) keeps
 * the first three. What tells two responses to one prompt apart is v and how it goes with u. A prompt is read once for
 * all responses to it, and nothing in a response is seen in the light of the prompt: that is what is given up.
 */
import { abs, concat, gather, mul, sub, type Tensor, type Tree } from "../graph/index.ts";
import type { ModelConfig } from "../models/config/config.ts";
import { tokenSpec } from "../models/model.ts";
import { promptParameters } from "../models/towers.ts";
import { pooledStates, type RowBatch } from "./reward-model.ts";

/** R responses, P prompts, and which of these each response is to. */
export interface TowerBatch {
  readonly prompt: RowBatch;
  readonly response: RowBatch;
  /** [R] int64 */
  readonly prompt_of: Tensor;
}

/** The specification of a `TowerBatch`. */
export const towerSpec = () => ({
  prompt: { input_ids: tokenSpec(["P", "TP"]), lengths: tokenSpec(["P"]) },
  response: { input_ids: tokenSpec(["R", "T"]), lengths: tokenSpec(["R"]) },
  prompt_of: tokenSpec(["R"]),
});

/** [N, 4 C] of states of prompts and of responses, [N, C] both. */
export const towerFeatures = (prompt: Tensor, response: Tensor): Tensor =>
  concat([prompt, response, abs(sub(prompt, response)), mul(prompt, response)], 1);

/** What the scores of a batch are read from, [R, 4 C]. */
export function towerStates(config: ModelConfig, params: Tree<Tensor>, batch: TowerBatch): Tensor {
  const prompts = pooledStates(config, promptParameters(config, params), batch.prompt); // [P, C]
  return towerFeatures(gather(prompts, batch.prompt_of), pooledStates(config, params, batch.response));
}
