/**
 * The critic of PPO: a value V_t for the state before each response token, from a scalar head on a backbone.
 *
 * The backbone is one of its own, which starts as the policy, a reward model or a given model; or the policy's, whose
 * hidden states then serve both, and into which the value loss sends gradients. A new head starts at zero, so that at
 * first every value is 0 and nothing of it leaks into the advantages.
 */
import { type HostArray, reshape, type Tensor, type Tree } from "../../graph/index.ts";
import type { LoraOptions } from "../../models/adapters/lora.ts";
import type { ModelConfig } from "../../models/config/config.ts";
import type { RaggedBatch } from "../../models/families/ragged.ts";
import { type Model, merged, type Parameters, withParameters } from "../../models/load.ts";
import { hiddenStates, scoresOf } from "../../models/model.ts";
import { withScoreHead } from "../../models/score-head.ts";
import { type Trainable, trainableOf } from "../loop/trainable.ts";

const head = "score.weight";

/** A model with one value for each token: its own head where it has one to keep, else zeros. */
export const criticFrom = (source: Model, head: "keep" | "zeros" = "zeros"): Model =>
  withScoreHead(source, {
    head: head === "keep" && source.config.numLabels !== undefined ? "keep" : "zeros",
    // A reward model's normalisation, pooling and way to read are none of a critic's.
    entries: { mean: undefined, std: undefined, pooling: undefined, reward_encoder: undefined },
  });

/** The critic as the update sees it. */
export interface Critic {
  /** What of it trains. */
  readonly trainable: Trainable;
  /** Its backbone is the policy's. */
  readonly shared: boolean;
  /**
   * V [M] of the tokens that are read.
   *
   * @param params the critic's whole tree
   * @param policyHidden the policy's hidden states [M, C], for a shared backbone
   */
  values(params: Tree<Tensor>, batch: RaggedBatch, policyHidden: () => Tensor): Tensor;
  /** The critic as a model of its own. */
  modelWith(policy: Model, parameters: Parameters): Model;
  /** What had trained of a critic that was saved. */
  trainedOf(model: Model): Parameters;
}

const valuesOf = (config: ModelConfig, params: Tree<Tensor>, hidden: Tensor): Tensor =>
  reshape(scoresOf(config, params, hidden), [-1]);

/** A critic with a backbone of its own. */
export function separateCritic(model: Model, lora?: LoraOptions, seed = 0): Critic {
  const trainable = trainableOf(model, lora, seed);
  return {
    trainable,
    shared: false,
    values: (params, batch) => valuesOf(model.config, params, hiddenStates(model.config, params, batch)),
    // An adapter on a critic names a base without a head; the whole critic stands for itself.
    modelWith: (_, parameters) => merged(trainable.modelWith(parameters)),
    trainedOf: trainable.trainedOf,
  };
}

/** A value head on the policy's hidden states. */
export function sharedCritic(policy: Model): Critic {
  const { config, parameters } = criticFrom(policy);
  const withHead = (model: Model, trained: Parameters): Model =>
    withParameters(criticFrom(model), { ...criticFrom(model).parameters, ...trained });
  const trainedOf = (model: Model): Parameters => ({ [head]: model.parameters[head] as HostArray });
  return {
    trainable: {
      parameters: { [head]: parameters[head] as HostArray },
      whole: (params) => params,
      modelWith: (trained) => withHead(policy, trained),
      trainedOf,
    },
    shared: true,
    values: (params, _, policyHidden) => valuesOf(config, params, policyHidden()),
    modelWith: withHead,
    trainedOf,
  };
}
