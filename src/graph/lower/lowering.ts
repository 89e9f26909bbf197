/**
 * From a graph to an ONNX model: the walk, and the rows that all providers share.
 */
import { type HostArray, hostArray } from "../array.ts";
import { type Dim, isName, type Shape } from "../dims.ts";
import { AttuneError } from "../errors.ts";
import { boundDim, type ScanAttributes } from "../scan.ts";
import type { Node, Tensor } from "../tensor.ts";
import { externalTensorProto, modelBytes, OnnxBuilder, onnxTypes, valueInfo } from "./onnx/builder.ts";
import { decompose, type Fusion, fuse, insideBodies, mergeEqual, reachable } from "./passes.ts";

/** Emits the ONNX nodes for one node and returns the names of its outputs. */
export type LoweringRule = (
  builder: OnnxBuilder,
  node: Node,
  inputs: readonly string[],
  /** The whole table, for rules that emit a body. */
  table: LoweringTable,
) => string[];
export type LoweringTable = Readonly<Record<string, LoweringRule>>;

export interface Lowering {
  readonly table: LoweringTable;
  readonly fusions: Readonly<Record<string, Fusion>>;
  /** Whether the table's row takes this node (its dtype, say); the others are decomposed. All, when left out. */
  readonly takes?: (node: Node) => boolean;
}

export const lowered = (names: readonly string[]): string => names[0] as string;

const plain =
  (operator: string): LoweringRule =>
  (b, _, inputs) =>
    b.emit(operator, inputs);

const reduce =
  (operator: string): LoweringRule =>
  (b, { attributes }, inputs) =>
    b.emit(operator, [...inputs, b.int64s(attributes.axes as readonly number[])], {
      keepdims: Number(attributes.keepDims),
    });

const shapeOf = (node: Node): Shape => (node.outputs[0] as Tensor).shape;

export const standardLowering: LoweringTable = {
  constant: (b, { attributes }) => [b.constant(attributes.value as HostArray)],
  add: plain("Add"),
  sub: plain("Sub"),
  mul: plain("Mul"),
  div: plain("Div"),
  pow: plain("Pow"),
  maximum: plain("Max"),
  minimum: plain("Min"),
  mod: plain("Mod"),
  equal: plain("Equal"),
  less: plain("Less"),
  lessEqual: plain("LessOrEqual"),
  greater: plain("Greater"),
  greaterEqual: plain("GreaterOrEqual"),
  and: plain("And"),
  or: plain("Or"),
  not: plain("Not"),
  isNaN: plain("IsNaN"),
  isInfinite: plain("IsInf"),
  neg: plain("Neg"),
  abs: plain("Abs"),
  sign: plain("Sign"),
  exp: plain("Exp"),
  log: plain("Log"),
  sqrt: plain("Sqrt"),
  reciprocal: plain("Reciprocal"),
  tanh: plain("Tanh"),
  sigmoid: plain("Sigmoid"),
  softplus: plain("Softplus"),
  erf: plain("Erf"),
  sin: plain("Sin"),
  cos: plain("Cos"),
  floor: plain("Floor"),
  ceil: plain("Ceil"),
  round: plain("Round"),
  where: plain("Where"),
  cast: (b, { outputs }, inputs) => b.emit("Cast", inputs, { to: onnxTypes[(outputs[0] as Tensor).dtype] }),

  reshape: (b, node, inputs) => b.emit("Reshape", [...inputs, b.shape(shapeOf(node), { infer: true })]),
  transpose: (b, { attributes }, inputs) =>
    b.emit("Transpose", inputs, { perm: attributes.order as number[] }),
  expand: (b, node, inputs) => b.emit("Expand", [...inputs, b.shape(shapeOf(node))]),
  slice: (b, { attributes }, inputs) => {
    const { axis, start, end } = attributes as { axis: number; start: Dim; end: Dim };
    return b.emit("Slice", [...inputs, b.size(start), b.size(end), b.int64s([axis])]);
  },
  sliceTo: (b, { attributes }, [x]) => {
    const { axis, name } = attributes as { axis: number; name: string };
    return b.emit("Slice", [x as string, b.int64s([0]), b.size(name), b.int64s([axis])]);
  },
  split: (b, { attributes, outputs }, inputs) =>
    b.emit(
      "Split",
      [...inputs, b.shape(attributes.sizes as Shape)],
      { axis: attributes.axis as number },
      outputs.length,
    ),
  concat: (b, { attributes }, inputs) => b.emit("Concat", inputs, { axis: attributes.axis as number }),
  pad: (b, { attributes, inputs: [x] }, inputs) => {
    const { axis, before, after, value } = attributes as {
      axis: number;
      before: Dim;
      after: Dim;
      value: number;
    };
    const pads = lowered(b.emit("Concat", [b.size(before), b.size(after)], { axis: 0 }));
    const fill = b.constant(hostArray((x as Tensor).dtype, [], [value]));
    return b.emit("Pad", [inputs[0] as string, pads, fill, b.int64s([axis])]);
  },
  arange: (b, { attributes }) => {
    const end = lowered(b.emit("Reshape", [b.size(attributes.length as Dim), b.int64s([])]));
    const [zero, step] = [0, 1].map((v) => b.constant(hostArray("int64", [], BigInt64Array.of(BigInt(v)))));
    return b.emit("Range", [zero as string, end, step as string]);
  },
  dimValue: (b, { attributes, outputs }) => {
    const scalar = lowered(b.emit("Reshape", [b.size(attributes.dim as Dim), b.int64s([])]));
    return b.emit("Cast", [scalar], { to: onnxTypes[(outputs[0] as Tensor).dtype] });
  },

  sum: reduce("ReduceSum"),
  max: reduce("ReduceMax"),
  min: reduce("ReduceMin"),
  cumsum: (b, { attributes }, inputs) => {
    const { axis, exclusive, reverse } = attributes as { axis: number; exclusive: boolean; reverse: boolean };
    return b.emit("CumSum", [...inputs, b.int64s([axis])], {
      exclusive: Number(exclusive),
      reverse: Number(reverse),
    });
  },
  argmax: (b, { attributes }, inputs) =>
    b.emit("ArgMax", inputs, { axis: attributes.axis as number, keepdims: Number(attributes.keepDims) }),
  topK: (b, { attributes }, inputs) =>
    b.emit(
      "TopK",
      [...inputs, b.size(attributes.k as Dim)],
      { axis: -1, largest: Number(attributes.largest) },
      2,
    ),

  gather: (b, { attributes }, inputs) => b.emit("Gather", inputs, { axis: attributes.axis as number }),
  gatherAlong: (b, { attributes }, inputs) =>
    b.emit("GatherElements", inputs, { axis: attributes.axis as number }),
  scatterAddAlong: (b, { attributes }, inputs) =>
    b.emit("ScatterElements", inputs, { axis: attributes.axis as number, reduction: "add" }),

  scan: (b, node, inputs, table) => emitLoop(b, node, inputs, table),
};

/** A scan as one `Loop`; what the body reads from outside it names directly. */
const emitLoop: LoweringRule = (b, { attributes, outputs }, inputs, table) => {
  const { body, length, carried, stops } = attributes as unknown as ScanAttributes;
  const inner = new OnnxBuilder(`${b.fresh("Loop")}.`, b);
  const names = new Map<Tensor, string>();
  const going = inner.fresh("going");
  const declared = [valueInfo(going, "bool", [])];
  for (const [k, tensor] of body.inputs.entries()) {
    const own = k <= carried; // the iteration's number, then the carried values
    const name = own ? inner.fresh("in") : (inputs[k - 1] as string);
    names.set(tensor, name);
    if (own) declared.splice(k === 0 ? 0 : declared.length, 0, valueInfo(name, tensor.dtype, tensor.shape));
  }
  const wanted = body.outputs.map(() => inner.fresh("out"));
  const results = emitOutputs(inner, wanted, body.outputs, names, table);
  if (!stops) results.unshift(valueInfo(lowered(inner.emit("Identity", [going])), "bool", []));
  const trips = lowered(b.emit("Reshape", [b.size(length), b.int64s([])]));
  const start = stops ? b.constant(hostArray("bool", [], [1])) : "";
  const graph = inner.graph("body", declared, results);
  return b.emit("Loop", [trips, start, ...inputs.slice(0, carried)], { body: { graph } }, outputs.length);
};

export interface Graph {
  /** Inputs in the order and under the names that the compiled program takes. */
  readonly inputs: readonly (readonly [name: string, tensor: Tensor])[];
  readonly outputs: readonly (readonly [name: string, tensor: Tensor])[];
}

/** An initializer's bytes stand outside the model, under this location. */
export interface ExternalData {
  readonly path: string;
  readonly data: Uint8Array;
}

export interface OnnxModel {
  readonly bytes: Uint8Array;
  /** Bytes of frozen inputs, to be handed to the session beside the model. */
  readonly external: readonly ExternalData[];
  readonly nodeCount: number;
}

/** The nodes that a provider will run, after all passes. */
export function prepare(outputs: readonly Tensor[], lowering: Lowering): Tensor[] {
  const expanded = decompose(
    outputs,
    (node) => node.op in lowering.table && (lowering.takes?.(node) ?? true),
  );
  const recomputes = reachable(outputs).some(({ op }) => op === "after");
  const fused = mergeEqual(fuse(mergeEqual(expanded, recomputes), lowering.fusions, recomputes), recomputes);
  return insideBodies(fused, (body) => prepare(body, lowering));
}

/**
 * Writes a graph as an ONNX model. Inputs named in `frozen` become initializers with those values, kept
 * outside the model so that it may be larger than 2 GB in all.
 */
export function toOnnx(
  graph: Graph,
  lowering: Lowering,
  frozen: Readonly<Record<string, HostArray>> = {},
): OnnxModel {
  const outputs = prepare(
    graph.outputs.map(([, tensor]) => tensor),
    lowering,
  );
  const builder = new OnnxBuilder();
  const names = new Map<Tensor, string>();
  const external: ExternalData[] = [];
  const declared = graph.inputs.flatMap(([name, tensor]) => {
    names.set(tensor, name);
    const value = frozen[name];
    if (!value) {
      bindDims(builder, name, tensor.shape);
      return [valueInfo(name, tensor.dtype, tensor.shape)];
    }
    const path = `${name}.bin`;
    builder.initializers.push(externalTensorProto(name, value, path));
    external.push({
      path,
      data: new Uint8Array(value.data.buffer as ArrayBuffer, value.data.byteOffset, value.data.byteLength),
    });
    return [];
  });
  const results = emitOutputs(
    builder,
    graph.outputs.map(([name]) => name),
    outputs,
    names,
    lowering.table,
  );
  return {
    bytes: modelBytes(builder.graph("attune", declared, results)),
    external,
    nodeCount: builder.nodes.length,
  };
}

/** Lets every plain name among a value's dimensions be read from that value. */
export function bindDims(builder: OnnxBuilder, value: string, shape: Shape): void {
  for (const [axis, dim] of shape.entries()) if (isName(dim)) builder.bindDim(dim, { value, axis });
}

/** Emits everything that the outputs need and gives the outputs their names. */
export function emitOutputs(
  builder: OnnxBuilder,
  wanted: readonly string[],
  outputs: readonly Tensor[],
  names: Map<Tensor, string>,
  table: LoweringTable,
): ReturnType<typeof valueInfo>[] {
  const nodes = reachable(outputs);
  bindComputedDims(builder, nodes, names, table);
  emitNodes(builder, nodes, names, table);
  return outputs.map((tensor, i) => {
    const name = wanted[i] as string;
    // A value that was computed here, for this output alone, takes the output's name; others need a copy.
    if (outputs.indexOf(tensor) === i && builder.rename(names.get(tensor) as string, name))
      names.set(tensor, name);
    else builder.emit("Identity", [names.get(tensor) as string], {}, [name]);
    return valueInfo(name, tensor.dtype, tensor.shape);
  });
}

/** Lets dimensions whose size a node computes be read, whatever the order in which nodes are emitted. */
function bindComputedDims(
  builder: OnnxBuilder,
  nodes: readonly Node[],
  names: Map<Tensor, string>,
  table: LoweringTable,
): void {
  const known = new Map<string, Tensor>();
  for (const node of nodes) {
    const bound = boundDim(node);
    if (!bound) continue;
    const other = known.get(bound.name);
    if (other && other !== bound.size)
      throw new AttuneError(
        `compile: the dimension ${bound.name} gets two different sizes; give each its own name`,
      );
    known.set(bound.name, bound.size);
    builder.bindDim(bound.name, {
      emit: () => {
        emitNodes(builder, reachable([bound.size]), names, table);
        return lowered(builder.emit("Reshape", [names.get(bound.size) as string, builder.int64s([1])]));
      },
    });
  }
}

/** Emits nodes in order; `names` holds the values that exist already and receives the new ones. */
export function emitNodes(
  builder: OnnxBuilder,
  nodes: readonly Node[],
  names: Map<Tensor, string>,
  table: LoweringTable,
): void {
  for (const node of nodes) {
    if (names.has(node.outputs[0] as Tensor)) continue;
    if (node.op === "input")
      throw new AttuneError(
        `compile: the graph reads the input ${node.attributes.name}, which is not among its inputs`,
      );
    const rule = table[node.op];
    if (!rule) throw new AttuneError(`compile: this provider has no row for ${node.op}`);
    const results = rule(
      builder,
      node,
      node.inputs.map((x) => names.get(x) as string),
      table,
    );
    for (const [i, y] of node.outputs.entries()) {
      const name = results[i];
      if (name !== undefined) names.set(y, name);
    }
  }
}
