/**
 * What of a model trains, and how the rest takes part: all parameters, or an adapter (LoRA) beside a frozen base.
 *
 * A frozen base goes to the engine once. Every batch brings that copy to its program as `batch.frozen`, so a step
 * computes no gradient for it and copies nothing of it.
 */
import {
  type Engine,
  type HostArray,
  mapTree,
  type Resident,
  type Tensor,
  type TensorSpec,
  type Tree,
  unflatten,
  type Value,
} from "../../graph/index.ts";
import { createAdapter, type LoraConfig, type LoraOptions, withLora } from "../../models/adapters/lora.ts";
import { type Model, type Parameters, withAdapter, withParameters } from "../../models/load.ts";
import { TrainError } from "../errors.ts";
import type { Loss } from "./step.ts";

export interface Trainable {
  /** What trains, as it is at the start. */
  readonly parameters: Parameters;
  /** What does not; absent when everything trains. */
  readonly frozen?: Parameters;
  /** The whole parameter tree, from what trains and from the batch, which brings the rest. */
  whole(params: Tree<Tensor>, batch: Tree<Tensor>): Tree<Tensor>;
  /** The model with these parameters trained. */
  modelWith(parameters: Parameters): Model;
  /** What had trained of a model that `modelWith` made and that was saved and loaded. */
  trainedOf(model: Model): Parameters;
}

/** Everything trains, or, with `lora`, a new adapter. */
export const trainableOf = (model: Model, lora?: LoraOptions, seed = 0): Trainable =>
  lora ? adapterOf(model, lora, seed) : everythingOf(model);

const everythingOf = (model: Model): Trainable => ({
  parameters: model.parameters,
  whole: (params) => params,
  modelWith: (parameters) => withParameters(model, parameters),
  trainedOf: ({ parameters }) => parameters,
});

function adapterOf(model: Model, options: LoraOptions, seed: number): Trainable {
  const { config, parameters } = createAdapter(model.config, model.parameters, options, seed);
  return {
    parameters,
    frozen: model.parameters,
    whole: (params, batch) => withLora(config, batch.frozen as Tree<Tensor>, params),
    modelWith: (trained) => withAdapter(model, { config, parameters: trained }),
    trainedOf: ({ adapter, name }) => {
      if (!adapter || !isAlike(adapter.config, config))
        throw new TrainError(
          `${name}: the adapter of this run is required, got another; resume with its options`,
        );
      // In the order of the start, whatever a file's is: the norm over them is a sum, and sums have an order.
      const { parameters: trained } = adapter;
      return Object.fromEntries(Object.keys(parameters).map((key) => [key, trained[key] as HostArray]));
    },
  };
}

const isAlike = (a: LoraConfig, b: LoraConfig): boolean =>
  a.r === b.r && a.loraAlpha === b.loraAlpha && a.useRslora === b.useRslora;

/** The loss over what trains, from the loss over the whole model. */
export const withFrozen =
  (loss: Loss, { whole }: Trainable): Loss =>
  (params, batch) =>
    loss(whole(params, batch), batch);

/** Specifications of arrays by path. */
export const specsOf = (parameters: Parameters): Tree<TensorSpec> =>
  mapTree(unflatten(parameters), ({ dtype, shape }) => ({ dtype, shape }));

/** Puts what does not train into the engine, and lets batches bring it. */
export async function frozenIn(engine: Engine, { frozen }: Trainable): Promise<FrozenPart> {
  if (!frozen) return { spec: (batch) => batch, batch: (arrays) => arrays, free: async () => {} };
  const [specs, resident]: [Tree<TensorSpec>, Tree<Resident>] = [
    specsOf(frozen),
    await engine.put(unflatten(frozen)),
  ];
  return {
    spec: (batch) => ({ ...batch, frozen: specs }),
    batch: (arrays) => ({ ...arrays, frozen: resident }),
    free: () => engine.free(resident),
  };
}

export interface FrozenPart {
  spec(batch: Tree<TensorSpec>): Tree<TensorSpec>;
  batch(arrays: Tree<Value>): Tree<Value>;
  free(): Promise<void>;
}
