/**
 * One optimiser step as one graph: loss, gradients, clipping, update and metrics.
 */
import {
  type CompileOptions,
  compile,
  compileScan,
  type Dim,
  div,
  keepIfFinite,
  mapTree,
  mul,
  type Program,
  type Tensor,
  type TensorSpec,
  type Tree,
  valueAndGrad,
} from "../../graph/index.ts";
import { type Tracing, traced } from "../../models/tracing.ts";
import {
  clipFactor,
  globalNorm,
  lossScaleMetrics,
  lossScaleOf,
  type Optimizer,
  type Packing,
} from "../../optim/index.ts";

/** Computes a scalar loss, and figures to report beside it, from parameters and one batch. */
export type Loss = (params: Tree<Tensor>, batch: Tree<Tensor>) => { loss: Tensor; metrics?: Tree<Tensor> };

/** What of a trainer's options decides how its models are traced. */
export interface TracingOptions {
  readonly gradientCheckpointing?: boolean | undefined;
  readonly logitsChunkSize?: number | "auto" | undefined;
  readonly fp16?: boolean | undefined;
}

export const tracingOf = ({
  gradientCheckpointing: recompute,
  logitsChunkSize: logitsChunk,
  fp16: half,
}: TracingOptions): Tracing => ({ recompute, logitsChunk, half });

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

/** Loss, metrics and gradients, these multiplied by the scale of the loss where there is one. */
export function scaledGradients(
  loss: Loss,
  params: Tree<Tensor>,
  batch: Tree<Tensor>,
  scale: Tensor | undefined,
): { loss: Tensor; metrics: Tree<Tensor>; gradients: Tree<Tensor> } {
  let metrics: Tree<Tensor> = {};
  let plain: Tensor | undefined;
  const [value, gradients] = valueAndGrad((p: Tree<Tensor>) => {
    const result = loss(p, batch);
    metrics = result.metrics ?? {};
    plain = result.loss;
    return scale ? mul(result.loss, scale) : result.loss;
  })(params);
  return { loss: scale ? (plain as Tensor) : value, metrics, gradients };
}

/** (parameters, optimiser state, batch, {learning_rate}) to the next parameters and state, and metrics. */
export function trainStep(loss: Loss, { optimizer, maxGradNorm }: StepOptions) {
  return (
    params: Tree<Tensor>,
    state: Tree<Tensor>,
    batch: Tree<Tensor>,
    rate: Tree<Tensor>,
  ): Tree<Tensor> => {
    const scale = lossScaleOf(state);
    const { loss: value, metrics, gradients } = scaledGradients(loss, params, batch, scale);
    const raw = globalNorm(gradients);
    const norm = scale ? div(raw, scale) : raw;
    // Every update waits for the norm, hence for every gradient, so parameters can be overwritten in place.
    const clipping = clipFactor(norm, maxGradNorm ?? Number.MAX_VALUE);
    const gradientScale = scale ? div(clipping, scale) : clipping;
    const learningRate = rate.learning_rate as Tensor;
    const next = optimizer.update(gradients, state, params, { learningRate, gradientScale, norm });
    return {
      ...next,
      metrics: { ...metrics, loss: value, grad_norm: norm, ...lossScaleMetrics(scale, next.state) },
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
