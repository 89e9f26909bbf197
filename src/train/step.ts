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
  isTensor,
  type CompileOptions,
  valueAndGrad,
} from "../graph/index.ts";
import { clipFactor, globalNorm, type Optimizer, packing } from "../optim/index.ts";

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
    const [value, raw] = valueAndGrad((p: Tree<Tensor>) => {
      const result = loss(p, batch);
      metrics = result.metrics ?? {};
      return result.loss;
    })(params);
    const { pack, unpack } = packing(params, optimizer.groupOf ?? (() => "all"));
    const gradients = pack(raw);
    const norm = globalNorm(gradients);
    // Every update waits for the norm, hence for every gradient, so parameters can be overwritten in place.
    const gradientScale = clipFactor(norm, maxGradNorm ?? Number.MAX_VALUE);
    const next = optimizer.update(gradients, packState(state, pack), pack(params), {
      learningRate: rate.learning_rate as Tensor,
      gradientScale,
    });
    return {
      params: unpack(next.params),
      state: packState(next.state, unpack),
      metrics: { ...metrics, loss: value, grad_norm: norm },
    };
  };
}

/** Packs or unpacks the branches of an optimiser's state that are shaped like the parameters. */
const packState = (state: Tree<Tensor>, change: (tree: Tree<Tensor>) => Tree<Tensor>): Tree<Tensor> =>
  Object.fromEntries(
    Object.entries(state).map(([name, value]) => [name, isTensor(value) ? value : change(value as Tree<Tensor>)]),
  );

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

