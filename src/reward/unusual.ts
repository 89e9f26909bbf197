/**
 * Input that is unlike what a reward model was trained on, by the distance of Mahalanobis 1936 of its pooled hidden
 * state h from those of training responses (Lee et al. 2018):
 *
 *     d^2 = (h - m)' S^-1 (h - m)        unusual = max(0, (d^2 - mean) / std)        score - penalty * unusual
 *
 * m and S are the mean and covariance of one half of the training responses (S with a thousandth of its mean variance
 * added), mean and std those of d^2 on the other half, so that a response is unusual only beyond what training itself
 * shows. They are saved with the model, as the tensors `feature_mean` and `feature_precision`, and in
 * `feature_statistics` of config.json.
 */
import {
  compile,
  type Engine,
  type HostArray,
  hostArray,
  matmul,
  mul,
  sub,
  sum,
  type Tensor,
  type Tree,
  unflatten,
} from "../graph/index.ts";
import type { ModelConfig } from "../models/config/config.ts";
import { type Model, modelOf } from "../models/load.ts";
import { parameterSpecs } from "../models/model.ts";
import { readerOf } from "./reader.ts";
import { RewardError } from "./reward.ts";
import type { ResponseRow } from "./rows.ts";

/** Of squared distances of training responses. */
export interface FeatureStatistics {
  readonly count: number;
  readonly mean: number;
  readonly std: number;
}

/** What a model knows of usual input; undefined where nothing was saved. */
export const featureStatisticsOf = ({ raw }: Pick<ModelConfig, "raw">): FeatureStatistics | undefined =>
  raw.feature_statistics as FeatureStatistics | undefined;

/** Squared distances [R] of pooled states [R, C], by the statistics among the parameters. */
export function squaredDistances(params: Tree<Tensor>, states: Tensor): Tensor {
  const { feature_mean: mean, feature_precision: precision } = params as Record<string, Tensor>;
  const off = sub(states, mean as Tensor);
  return sum(mul(matmul(off, precision as Tensor), off), -1);
}

/** How unusual a squared distance is: deviations above the mean of training, at least 0. */
export const unusualness = (squared: number, { mean, std }: FeatureStatistics): number =>
  Math.max(0, (squared - mean) / std);

const fewest = 8;

/**
 * The model with the statistics of these rows.
 *
 * @throws RewardError for fewer than 8 rows
 */
export async function withFeatureStatistics(
  engine: Engine,
  model: Model,
  rows: readonly ResponseRow[],
  { batchSize = 32 }: { readonly batchSize?: number } = {},
): Promise<Model> {
  if (rows.length < fewest)
    throw new RewardError(
      `feature_statistics: at least ${fewest} responses are required, got ${rows.length}`,
    );
  const states = await statesOf(engine, model, rows, batchSize);
  const [fitted, others] = [0, 1].map((half) => states.filter((_, i) => i % 2 === half)) as [
    Float32Array[],
    Float32Array[],
  ];
  const { mean, precision } = gaussianOf(fitted);
  const width = mean.length;
  const distances = others.map((state) => {
    let squared = 0;
    for (let i = 0; i < width; i++) {
      let row = 0;
      for (let j = 0; j < width; j++)
        row += (precision[i * width + j] as number) * ((state[j] as number) - (mean[j] as number));
      squared += row * ((state[i] as number) - (mean[i] as number));
    }
    return squared;
  });
  const centre = distances.reduce((a, b) => a + b, 0) / distances.length;
  const spread = Math.sqrt(distances.reduce((sum, d) => sum + (d - centre) ** 2, 0) / distances.length);
  const statistics: FeatureStatistics = { count: rows.length, mean: centre, std: Math.max(spread, 1e-12) };
  return modelOf(
    {
      ...model,
      config: { ...model.config, raw: { ...model.config.raw, feature_statistics: statistics } },
      parameters: {
        ...model.parameters,
        feature_mean: hostArray("float32", [width], Float32Array.from(mean)),
        feature_precision: hostArray("float32", [width, width], Float32Array.from(precision)),
      },
    },
    model.name,
  );
}

/** Pooled hidden states of rows. */
async function statesOf(
  engine: Engine,
  { config, parameters }: Model,
  rows: readonly ResponseRow[],
  batchSize: number,
): Promise<Float32Array[]> {
  const reader = readerOf(config);
  const program = await engine.load(
    compile(
      (params, batch) => ({ states: reader.states(params, batch) }),
      [parameterSpecs(config), reader.spec] as const,
      { provider: engine.provider, freeze: { 0: unflatten(parameters) } },
    ),
  );
  try {
    const states: Float32Array[] = [];
    for (let from = 0; from < rows.length; from += batchSize) {
      const out = await engine.run(program, [{}, reader.batch(rows.slice(from, from + batchSize))]);
      const { data, shape } = out.states as HostArray<"float32">;
      const width = shape[1] as number;
      for (let at = 0; at < data.length; at += width) states.push(data.slice(at, at + width));
    }
    return states;
  } finally {
    await engine.unload(program);
  }
}

/** Mean, and the inverse of the covariance with a thousandth of its mean variance on the diagonal. */
function gaussianOf(states: readonly Float32Array[]): { mean: Float64Array; precision: Float64Array } {
  const width = states[0]?.length as number;
  const mean = new Float64Array(width);
  for (const state of states)
    for (let i = 0; i < width; i++) mean[i] = (mean[i] as number) + (state[i] as number) / states.length;
  const covariance = new Float64Array(width * width);
  for (const state of states)
    for (let i = 0; i < width; i++) {
      const a = ((state[i] as number) - (mean[i] as number)) / states.length;
      for (let j = 0; j <= i; j++)
        covariance[i * width + j] =
          (covariance[i * width + j] as number) + a * ((state[j] as number) - (mean[j] as number));
    }
  let trace = 0;
  for (let i = 0; i < width; i++) trace += covariance[i * width + i] as number;
  const ridge = (1e-3 * trace) / width + 1e-12;
  for (let i = 0; i < width; i++) covariance[i * width + i] = (covariance[i * width + i] as number) + ridge;
  return { mean, precision: inverseOf(covariance, width) };
}

/** The inverse of a positive definite matrix, of which the lower triangle is read, by its Cholesky factor. */
export function inverseOf(matrix: Float64Array, n: number): Float64Array {
  const at = (m: Float64Array, i: number, j: number) => m[i * n + j] as number;
  const factor = new Float64Array(n * n);
  for (let i = 0; i < n; i++)
    for (let j = 0; j <= i; j++) {
      let x = at(matrix, i, j);
      for (let k = 0; k < j; k++) x -= at(factor, i, k) * at(factor, j, k);
      factor[i * n + j] = i === j ? Math.sqrt(x) : x / at(factor, j, j);
    }
  const inverse = new Float64Array(n * n); // of the factor, lower
  for (let j = 0; j < n; j++)
    for (let i = j; i < n; i++) {
      let x = i === j ? 1 : 0;
      for (let k = j; k < i; k++) x -= at(factor, i, k) * at(inverse, k, j);
      inverse[i * n + j] = x / at(factor, i, i);
    }
  const out = new Float64Array(n * n);
  for (let i = 0; i < n; i++)
    for (let j = 0; j <= i; j++) {
      let x = 0;
      for (let k = i; k < n; k++) x += at(inverse, k, i) * at(inverse, k, j);
      out[i * n + j] = x;
      out[j * n + i] = x;
    }
  return out;
}
