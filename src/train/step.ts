/**
 * One optimiser step as one graph: loss, gradients, clipping, update and metrics.
 */
import {
  type Dim,
  type Program,
  type Tensor,
  type TensorSpec,
  type Tree,
  compile,
  type CompileOptions,
  valueAndGrad,
} from "../graph/index.ts";
import { clipFactor, globalNorm, type Optimizer, type Packing } from "../optim/index.ts";

/** Computes a scalar loss, and figures to report beside it, from parameters and one batch. */
export type Loss = (params: Tree<Tensor>, batch: Tree<Tensor>) => { loss: Tensor; metrics?: Tree<Tensor> };

export interface StepOptions {
  optimizer: Optimizer;
  /** Gradients are scaled down to this norm over all parameters; undefined leaves them. */
  maxGradNorm?: number;
}

/** (parameters, optimiser state, batch, {learning_rate}) to the next parameters and state, and metrics. */
export function trainStep(loss: Loss, { optimizer, maxGradNorm }: StepOptions) {
  return (params: Tree<Tensor>, state: Tree<Tensor>, batch: Tree<Tensor>, rate: Tree<Tensor>): Tree<Tensor> => {
    let metrics: Tree<Tensor> = {};
    const [value, gradients] = valueAndGrad((p: Tree<Tensor>) => {
      const result = loss(p, batch);
      metrics = result.metrics ?? {};
      return result.loss;
    })(params);
    const norm = globalNorm(gradients);
    // Every update waits for the norm, hence for every gradient, so parameters can be overwritten in place.
    const gradientScale = clipFactor(norm, maxGradNorm ?? Number.MAX_VALUE);
    const learningRate = rate.learning_rate as Tensor;
    return {
      ...optimizer.update(gradients, state, params, { learningRate, gradientScale }),
      metrics: { ...metrics, loss: value, grad_norm: norm },
    };
  };
}

/** The same loss over packed parameters. */
export const packedLoss =
  (loss: Loss, { unpack }: Packing): Loss =>
  (packed, batch) =>
    loss(unpack(packed), batch);

/** Compiles a train step; parameters and state are donated, so they stay with the engine. */
export function compileTrainStep(
  loss: Loss,
  options: StepOptions,
  params: Tree<TensorSpec>,
  batch: Tree<TensorSpec>,
  compileOptions: CompileOptions = {},
): Program {
  const rate = { learning_rate: { dtype: "float32" as const, shape: [] as Dim[] } };
  return compile(trainStep(loss, options), [params, options.optimizer.init(params), batch, rate] as const, {
    ...compileOptions,
    donate: { params: 0, state: 1 },
  });
}

