/**
 * One optimiser step as one graph: loss, gradients, clipping, update and metrics.
 */
import {
  type CompileOptions,
  compile,
  compileScan,
  type Dim,
  keepIfFinite,
  mapTree,
  type Program,
  type Tensor,
  type TensorSpec,
  type Tree,
  valueAndGrad,
} from "../../graph/index.ts";
import { type Tracing, traced } from "../../models/tracing.ts";
import { clipFactor, globalNorm, type Optimizer, type Packing } from "../../optim/index.ts";

/** Computes a scalar loss, and figures to report beside it, from parameters and one batch. */
export type Loss = (params: Tree<Tensor>, batch: Tree<Tensor>) => { loss: Tensor; metrics?: Tree<Tensor> };

/** What of a trainer's options decides how its models are traced. */
export interface TracingOptions {
  readonly gradientCheckpointing?: boolean | undefined;
  readonly logitsChunkSize?: number | "auto" | undefined;
}

export const tracingOf = ({
  gradientCheckpointing: recompute,
  logitsChunkSize: logitsChunk,
}: TracingOptions): Tracing => ({ recompute, logitsChunk });

/** The same loss, whose models are traced as the options say. */
export const tracedLoss =
  (loss: Loss, options: TracingOptions): Loss =>
  (params, batch) =>
    traced(tracingOf(options), () => loss(params, batch));

export interface StepOptions {
  optimizer: Optimizer;
  /** Gradients are scaled down to this norm over all parameters; undefined leaves them. */
  maxGradNorm?: number;
}

/** (parameters, optimiser state, batch, {learning_rate}) to the next parameters and state, and metrics. */
export function trainStep(loss: Loss, { optimizer, maxGradNorm }: StepOptions) {
  return (
    params: Tree<Tensor>,
    state: Tree<Tensor>,
    batch: Tree<Tensor>,
    rate: Tree<Tensor>,
  ): Tree<Tensor> => {
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

/**
 * Compiles several optimiser steps as one program: (carry {params, state}, xs {batch, learning_rate}) to the carry after
 * the last step and `ys.metrics` with one entry a step. Every leaf of `xs` has a leading axis, the number of steps,
 * which is given at run time. A step whose gradient norm is not finite leaves parameters and state as they were.
 *
 * A run copies the state out once instead of once a step, which is worth most for small models. It cannot be
 * interrupted, so choose the number of steps such that it takes at most about two seconds.
 */
export function compileTrainScan(
  loss: Loss,
  options: StepOptions,
  params: Tree<TensorSpec>,
  batch: Tree<TensorSpec>,
  compileOptions: Pick<CompileOptions, "provider" | "freeze"> = {},
): Program {
  const step = trainStep(loss, options);
  const leading = ({ dtype, shape }: TensorSpec): TensorSpec => ({ dtype, shape: ["K", ...shape] });
  const rate: TensorSpec = { dtype: "float32", shape: [] };
  return compileScan(
    (carry, x) => {
      const old = carry as { params: Tree<Tensor>; state: Tree<Tensor> };
      const { batch, learning_rate } = x as { batch: Tree<Tensor>; learning_rate: Tensor };
      const { metrics, ...next } = step(old.params, old.state, batch, { learning_rate });
      const norm = (metrics as Tree<Tensor>).grad_norm as Tensor;
      return { carry: keepIfFinite(next, carry, norm), y: { metrics: metrics as Tree<Tensor> } };
    },
    {
      carry: { params, state: options.optimizer.init(params) },
      xs: { batch: mapTree(batch, leading), learning_rate: leading(rate) },
    },
    compileOptions,
  );
}
