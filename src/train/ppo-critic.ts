/**
 * The critic of PPO: a value V_t for the state before each response token, from a scalar head on a backbone.
 *
 * The backbone is one of its own, which starts as the policy, a reward model or a given model; or the policy's, whose
 * hidden states then serve both, and into which the value loss sends gradients. A new head starts at zero, so that at
 * first every value is 0 and nothing of it leaks into the advantages.
 */
import {
  gather,
  type HostArray,
  reshape,
  type Tensor,
  type Tree,
  unflatten,
  zerosArray,
} from "../graph/index.ts";
import type { LoraOptions } from "../models/adapters/lora.ts";
import type { ModelConfig } from "../models/config/config.ts";
import { parseConfig } from "../models/config/config.ts";
import { families } from "../models/config/families.ts";
import { type Model, modelOf, type Parameters } from "../models/load.ts";
import { parameterShapes, scoresOf } from "../models/model.ts";
import { TrainError } from "./errors.ts";
import { hiddenOf } from "./response-rows.ts";
import { type Trainable, trainableOf } from "./trainable.ts";

const head = "score.weight";

/** The configuration of the same model with one score instead of a vocabulary. */
export function scalarConfig(config: ModelConfig): ModelConfig {
  const { num_labels: _, ...raw } = config.raw;
  return {
    ...parseConfig({
      ...raw,
      architectures: [families[config.family].architectures[1]],
      id2label: { 0: "LABEL_0" },
      label2id: { LABEL_0: 0 },
    }),
    bosTokenId: config.bosTokenId,
    eosTokenIds: config.eosTokenIds,
    padTokenId: config.padTokenId,
  } as ModelConfig;
}

/** A model with a value head: its own when it has one and `keepHead` says so, else zeros. */
export function criticFrom(source: Model, { keepHead = false } = {}): Model {
  const { config } = source;
  if (config.numLabels !== undefined && config.numLabels !== 1)
    throw new TrainError(`${source.name}: a critic has one label, the model has ${config.numLabels}`);
  const scalar = scalarConfig(config);
  const shapes = parameterShapes(scalar);
  const parameters: Record<string, HostArray> = {};
  for (const [name, shape] of Object.entries(shapes)) {
    const known = source.parameters[name];
    parameters[name] =
      known && (name !== head || keepHead) ? known : zerosArray("float32", shape as number[]);
  }
  return modelOf({ ...source, config: scalar, parameters }, source.name);
}

/** The critic as the update sees it. */
export interface Critic {
  /** What of it trains. */
  readonly trainable: Trainable;
  /** Its backbone is the policy's. */
  readonly shared: boolean;
  /**
   * V [N] at `places` of token rows.
   *
   * @param params the critic's whole tree
   * @param policy the policy's tree and hidden states, for a shared backbone
   */
  values(params: Tree<Tensor>, inputIds: Tensor, places: Tensor, policyHidden: () => Tensor): Tensor;
  /** The critic as a model of its own. */
  modelWith(policy: Model, parameters: Parameters): Model;
  /** What had trained of a critic that was saved. */
  trainedOf(model: Model): Parameters;
}

const valuesAt = (config: ModelConfig, params: Tree<Tensor>, hidden: Tensor, places: Tensor): Tensor =>
  reshape(scoresOf(config, params, gather(hidden, places)), [-1]);

/** A critic with a backbone of its own. */
export function separateCritic(model: Model, lora?: LoraOptions, seed = 0): Critic {
  const trainable = trainableOf(model, lora, seed);
  return {
    trainable,
    shared: false,
    values: (params, inputIds, places) =>
      valuesAt(model.config, params, hiddenOf(model.config, params, inputIds), places),
    modelWith: (_, parameters) => trainable.modelWith(parameters),
    trainedOf: trainable.trainedOf,
  };
}

/** A value head on the policy's hidden states. */
export function sharedCritic(policy: Model): Critic {
  const config = scalarConfig(policy.config);
  const parameters: Parameters = { [head]: zerosArray("float32", [1, config.hiddenSize]) };
  const withHead = (model: Model, trained: Parameters): Model =>
    modelOf({ ...model, config, parameters: { ...criticFrom(model).parameters, ...trained } }, model.name);
  return {
    trainable: {
      parameters,
      whole: (params) => params,
      modelWith: (trained) => withHead(policy, trained),
      trainedOf: (model) => ({ [head]: model.parameters[head] as HostArray }),
    },
    shared: true,
    values: (params, _, places, policyHidden) => valuesAt(config, params, policyHidden(), places),
    modelWith: withHead,
    trainedOf: (model) => ({ [head]: model.parameters[head] as HostArray }),
  };
}

/** Parameters as a tree, for the engine. */
export const treeOf = (parameters: Parameters): Tree<HostArray> => unflatten(parameters);
