/**
 * A language model as an ONNX file with a cache, as Optimum names its values and Transformers.js reads them:
 *
 *     input_ids, attention_mask, position_ids, past_key_values.{i}.key | value, num_logits_to_keep
 *       ->  logits, present.{i}.key | value
 *
 * `num_logits_to_keep` is 0 for the logits of all new tokens; a prompt needs those of its last one alone.
 * The graph comes from the same family pages as training; only attention differs, which joins the past and what is new.
 * Rows may be padded on the left: the mask says which places of the cache are tokens.
 *
 * In 8 bits, projections run as `DynamicQuantizeMatMul` with a scale for each column of the weights, and the embedding
 * is kept once, for its rows and (where it is tied) as the output projection.
 */
import { subtractDims } from "../../graph/dims.ts";
import {
  AttuneError,
  add,
  and,
  arange,
  attention,
  cast,
  concat,
  type Dim,
  dequantize,
  dimValue,
  equal,
  expandDims,
  gather,
  greaterEqual,
  type HostArray,
  input,
  less,
  mul,
  not,
  reshape,
  scalar,
  slice,
  sliceTo,
  sub,
  type Tensor,
  transpose,
  unflatten,
  where,
} from "../../graph/index.ts";
import { cpuFusions, cpuLowering } from "../../graph/lower/cpu.ts";
import { bindDims, emitOutputs, type Lowering, prepare } from "../../graph/lower/lowering.ts";
import {
  externalTensorProto,
  modelBytes,
  OnnxBuilder,
  tensorProto,
  valueInfo,
} from "../../graph/lower/onnx/builder.ts";
import type { Fusion } from "../../graph/lower/passes.ts";
import { webgpu } from "../../graph/lower/webgpu.ts";
import { zeroPoint } from "../../graph/ops/quantize.ts";
import type { ModelConfig } from "../config/config.ts";
import { families } from "../families/index.ts";
import { toRows, weightsOf } from "../families/layers.ts";
import { type Attend, gridSequence } from "../families/sequence.ts";
import { logitsOf, parameterShapes } from "../model.ts";
import { quantizeColumns } from "../quantize.ts";

export interface OnnxExportOptions {
  /** Projections and embedding in 8 bits. */
  readonly int8?: boolean;
  /** Larger models keep their weights in files beside the model, since a model file ends at 2 GB. */
  readonly inlineBytes?: number;
  /** The model's file, after which those of its weights are named: NAME_data, NAME_data_1, ... */
  readonly fileName?: string;
  /** Bytes of one such file, at most, unless a single tensor is larger. */
  readonly chunkBytes?: number;
}

/** A model file, and the files of weights beside it, each the concatenation of its arrays. */
export interface OnnxFile {
  readonly bytes: Uint8Array;
  readonly chunks: readonly (readonly HostArray[])[];
}

const [batch, length, pastLength] = ["batch_size", "sequence_length", "past_sequence_length"] as const;
const total = `${pastLength}+${length}`;
const keptLength = "num_logits";

/**
 * Writes the model.
 *
 * @throws AttuneError for a model without a language head
 */
export function exportOnnx(
  config: ModelConfig,
  parameters: Readonly<Record<string, HostArray>>,
  options: OnnxExportOptions = {},
): OnnxFile {
  if (config.numLabels !== undefined)
    throw new AttuneError("export: a language model is required, got a classifier (num_labels)");
  const stored = new Map<Tensor, readonly [name: string, value: HostArray]>();
  const store = (name: string, value: HostArray): Tensor => {
    const tensor = input(name, value.dtype, value.shape);
    stored.set(tensor, [name, value]);
    return tensor;
  };
  const weights = Object.fromEntries(
    Object.keys(parameterShapes(config)).map((name) => {
      const value = parameters[name] as HostArray;
      return [
        name,
        options.int8 && isQuantized(config, name, value)
          ? quantized(config, name, value, store)
          : store(name, value),
      ];
    }),
  );
  const { inputs, outputs } = decoder(config, weights);
  return write(inputs, outputs, stored, options.int8 ? portableInt8 : webgpu, options);
}

/** Inputs and outputs of the decoder, by name. */
function decoder(config: ModelConfig, weights: Record<string, Tensor>) {
  const { numLayers, numKeyValueHeads, headDim, vocabSize } = config;
  const inputs: Record<string, Tensor> = {};
  const declare = (name: string, dtype: "int64" | "float32", shape: Dim[]) => {
    inputs[name] = input(name, dtype, shape);
    return inputs[name];
  };
  const ids = declare("input_ids", "int64", [batch, length]);
  const mask = declare("attention_mask", "int64", [batch, total]);
  const positions = declare("position_ids", "int64", [batch, length]);
  const cache = ["key", "value"] as const;
  const past = Array.from({ length: numLayers }, (_, layer) =>
    cache.map((part) =>
      declare(`past_key_values.${layer}.${part}`, "float32", [batch, numKeyValueHeads, pastLength, headDim]),
    ),
  );
  const present: Record<string, Tensor> = {};
  const attend: Attend = (layer, query, key, value) => {
    const [keys, values] = [key, value].map((added, i) => {
      const joined = concat([past[layer]?.[i] as Tensor, added], 2);
      present[`present.${layer}.${cache[i]}`] = joined;
      return joined;
    }) as [Tensor, Tensor];
    return attention(query, keys, values, {
      mask: visibility(mask, config.layerWindows[layer]),
      ...(!config.scaleAttention && { scale: 1 }),
    });
  };
  const sequence = gridSequence({ ids, positions, attend });
  const hidden = families[config.family].hidden(config, weightsOf(weights), sequence);
  const kept = lastRows(hidden, declare("num_logits_to_keep", "int64", []), config.hiddenSize);
  const logits = reshape(logitsOf(config, unflatten(weights), toRows(kept)), [batch, keptLength, vocabSize]);
  return { inputs, outputs: { logits, ...present } };
}

/** The last `count` tokens of each row, or all of them when it is 0: rows [B T, C] to [B, kept, C]. */
function lastRows(hidden: Tensor, count: Tensor, width: number): Tensor {
  const all = dimValue(length, "int64");
  const wanted = where(equal(count, 0), all, count);
  const places = add(sliceTo(arange(length), 0, wanted, keptLength), sub(all, wanted));
  return gather(reshape(hidden, [batch, length, width]), places, 1);
}

/** 0 where a new token sees a place of the cache, -1e30 elsewhere: [B, 1, T, S]. */
function visibility(mask: Tensor, window: number | undefined): Tensor {
  const places = arange(total);
  const from = expandDims(places, 0); // [1, S]
  const to = expandDims(slice(places, 0, subtractDims(total, length), total), 1); // [T, 1]
  const before = greaterEqual(to, from);
  const near = window === undefined ? before : and(before, less(sub(to, from), window));
  const isToken = expandDims(expandDims(not(equal(mask, 0)), 1), 1); // [B, 1, 1, S]
  return where(and(isToken, near), scalar(0), scalar(-1e30));
}

const isQuantized = (config: ModelConfig, name: string, { shape }: HostArray): boolean =>
  shape.length === 2 && !name.endsWith("wpe.weight") && parameterShapes(config)[name] !== undefined;

/** A matrix as its 8-bit form; whatever reads it is fused with it (see `portableInt8`). */
function quantized(
  config: ModelConfig,
  name: string,
  value: HostArray,
  store: (name: string, value: HostArray) => Tensor,
): Tensor {
  const { embedding, head, inputsFirst = false } = families[config.family];
  const columnsLast = inputsFirst && name !== embedding && name !== head;
  const { values, scale } = quantizeColumns(value, columnsLast);
  const matrix = dequantize(store(`${name}_quantized`, values), store(`${name}_scale`, scale)); // [in, out]
  return columnsLast ? matrix : transpose(matrix);
}

/** Rows of a quantised embedding: only those that are looked up become floats. */
const quantizedRows: Fusion = ({ attributes }, [table, indices]) => {
  const matrix = table?.node.op === "transpose" ? (table.node.inputs[0] as Tensor) : undefined;
  if (matrix?.node.op !== "dequantize" || attributes.axis !== 0) return undefined;
  const [values, scale] = matrix.node.inputs as [Tensor, Tensor];
  const rows = cast(gather(transpose(values), indices as Tensor), "float32");
  return mul(sub(rows, zeroPoint), expandDims(gather(scale, indices as Tensor), -1));
};

/** Operators of the ONNX standard wherever possible, so that every provider of Transformers.js runs them. */
const portableInt8: Lowering = {
  ...webgpu,
  table: {
    ...webgpu.table,
    matmulInt8: cpuLowering.matmulInt8 as NonNullable<typeof cpuLowering.matmulInt8>,
  },
  fusions: {
    ...webgpu.fusions,
    gather: quantizedRows,
    ...(cpuFusions.matmul && { matmul: cpuFusions.matmul }),
  },
};

function write(
  inputs: Record<string, Tensor>,
  outputs: Record<string, Tensor>,
  stored: ReadonlyMap<Tensor, readonly [string, HostArray]>,
  lowering: Lowering,
  { inlineBytes = 1.5e9, fileName = "model.onnx", chunkBytes = 1.5e9 }: OnnxExportOptions,
): OnnxFile {
  const builder = new OnnxBuilder();
  const names = new Map<Tensor, string>();
  const declared = Object.entries(inputs).map(([name, tensor]) => {
    names.set(tensor, name);
    bindDims(builder, name, tensor.shape);
    return valueInfo(name, tensor.dtype, tensor.shape);
  });
  const bytes = [...stored.values()].reduce((sum, [, { data }]) => sum + data.byteLength, 0);
  const chunks: HostArray[][] = [];
  let offset = Number.POSITIVE_INFINITY;
  for (const [tensor, [name, value]] of stored) {
    names.set(tensor, name);
    if (bytes <= inlineBytes) {
      builder.initializers.push(tensorProto(name, value));
      continue;
    }
    if (offset + value.data.byteLength > chunkBytes) {
      chunks.push([]);
      offset = 0;
    }
    const location = `${fileName}_data${chunks.length === 1 ? "" : `_${chunks.length - 1}`}`;
    builder.initializers.push(externalTensorProto(name, value, location, offset));
    chunks.at(-1)?.push(value);
    offset += value.data.byteLength;
  }
  const results = emitOutputs(
    builder,
    Object.keys(outputs),
    prepare(Object.values(outputs), lowering),
    names,
    lowering.table,
  );
  return { bytes: modelBytes(builder.graph("attune", declared, results)), chunks };
}
