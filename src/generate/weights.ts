/**
 * The weights that a generation graph or a frozen model reads: as the model has them, or its projections in 8 bits.
 *
 * In 8 bits every column of a projection (an output) has a scale of its own, max |w| / 127. Embeddings stay as they
 * are, because looking up a row is cheap; a tied output projection gets a quantised copy.
 */
import {
  dequantize,
  flatten,
  type HostArray,
  type Tensor,
  type TensorSpec,
  type Tree,
  transpose,
  unflatten,
} from "../graph/index.ts";
import type { ModelConfig } from "../models/config/config.ts";
import { families } from "../models/families/index.ts";
import { weightsOf } from "../models/families/layers.ts";
import { parameterShapes, scoreHeadOf } from "../models/model.ts";
import { quantizeColumns, tiedHead } from "../models/quantize.ts";

const inFirst = (config: ModelConfig): boolean => families[config.family].inputsFirst ?? false;

/** Tables whose rows are looked up, by how their names end. */
const looked = /(^|\.)(wpe|[a-z_]*embeddings)\.weight$/;

/** Names of the weights of the layers' projections, and of an output projection of its own. A head of scores stays as it is. */
function projections(config: ModelConfig): string[] {
  const { embedding, head } = families[config.family];
  const scores =
    config.numLabels === undefined ? {} : scoreHeadOf(config).parameters(config, config.numLabels);
  return Object.entries(parameterShapes(config))
    .filter(
      ([name, shape]) =>
        shape.length === 2 &&
        !(name in scores) &&
        !name.startsWith("feature_") &&
        !name.includes(".pooler.") &&
        !name.endsWith(embedding) &&
        !looked.test(name) &&
        (config.numLabels === undefined || name !== head),
    )
    .map(([name]) => name);
}

/** Models with scores have no output projection. */
const hasTiedHead = ({ tieEmbeddings, numLabels }: ModelConfig): boolean =>
  tieEmbeddings && numLabels === undefined;

/** Names and specifications of the weights, by path. */
export function weightSpecs(config: ModelConfig, int8: boolean): Record<string, TensorSpec> {
  const shapes = parameterShapes(config);
  const specs: Record<string, TensorSpec> = {};
  const quantized = new Set(int8 ? projections(config) : []);
  const addInt8 = (name: string, [inputs, outputs]: readonly [number, number]) => {
    specs[`${name}.int8`] = { dtype: "uint8", shape: [inputs, outputs] };
    specs[`${name}.scale`] = { dtype: "float32", shape: [outputs] };
  };
  for (const [name, shape] of Object.entries(shapes)) {
    if (!quantized.has(name)) specs[name] = { dtype: "float32", shape };
    else
      addInt8(
        name,
        (name !== families[config.family].head && inFirst(config) ? shape : shape.toReversed()) as [
          number,
          number,
        ],
      );
  }
  if (int8 && hasTiedHead(config)) addInt8(tiedHead, [config.hiddenSize, config.vocabSize]);
  return specs;
}

/** Brings float weights to the form of `weightSpecs(config, true)`. */
export function quantizeWeights(
  config: ModelConfig,
  weights: Readonly<Record<string, HostArray>>,
): Record<string, HostArray> {
  const { embedding, head } = families[config.family];
  const quantized = new Set(projections(config));
  const out: Record<string, HostArray> = {};
  const addInt8 = (name: string, from: HostArray, columnsLast: boolean) => {
    const { values, scale } = quantizeColumns(from, columnsLast);
    out[`${name}.int8`] = values;
    out[`${name}.scale`] = scale;
  };
  for (const [name, value] of Object.entries(weights)) {
    if (quantized.has(name)) addInt8(name, value, name !== head && inFirst(config));
    else out[name] = value;
  }
  if (hasTiedHead(config)) addInt8(tiedHead, weights[embedding] as HostArray, false);
  return out;
}

/** The weights under the names that a family asks for, those in 8 bits as what they stand for. */
export function weightTensors(
  config: ModelConfig,
  flat: Readonly<Record<string, Tensor>>,
): Record<string, Tensor> {
  const out: Record<string, Tensor> = {};
  for (const [path, tensor] of Object.entries(flat)) {
    if (path.endsWith(".scale")) continue;
    if (!path.endsWith(".int8")) {
      out[path] = tensor;
      continue;
    }
    const name = path.slice(0, -".int8".length);
    const matrix = dequantize(tensor, flat[`${name}.scale`] as Tensor); // [in, out]
    const stored = name !== families[config.family].head && name !== tiedHead && inFirst(config);
    out[name] = stored ? matrix : transpose(matrix);
  }
  return out;
}

/** The output projection [V, C], the quantised one where there is one. */
export const headOf = (config: ModelConfig, weights: Record<string, Tensor>): Tensor =>
  weights[tiedHead] ??
  weightsOf(weights)(config.tieEmbeddings ? families[config.family].embedding : families[config.family].head);

/** Weights that never change, as arrays for a program, and how the program reads them. */
export interface FrozenWeights {
  readonly arrays: Tree<HostArray>;
  /** From the arrays as the program has them to the parameters that a model's functions take. */
  read(arrays: Tree<Tensor>): Tree<Tensor>;
}

/** A model's weights as they are, or with 8-bit projections, which are a quarter as large. */
export const frozenWeights = (
  {
    config,
    parameters,
  }: { readonly config: ModelConfig; readonly parameters: Readonly<Record<string, HostArray>> },
  int8: boolean,
): FrozenWeights =>
  int8
    ? {
        arrays: unflatten(quantizeWeights(config, parameters)),
        read: (arrays) => unflatten(weightTensors(config, flatten(arrays))),
      }
    : { arrays: unflatten(parameters), read: (arrays) => arrays };
