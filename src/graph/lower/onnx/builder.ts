/** Collects the nodes and initializers of one ONNX graph (or of a loop's body) and names their values. */
import { create, toBinary } from "@bufbuild/protobuf";
import { bytesPerElement, type DType, type HostArray } from "../../array.ts";
import { type Dim, type Shape, termsOf } from "../../dims.ts";
import { AttuneError } from "../../errors.ts";
import {
  type AttributeProto,
  AttributeProtoSchema,
  AttributeProto_AttributeType as AttributeType,
  TensorProto_DataLocation as DataLocation,
  type GraphProto,
  GraphProtoSchema,
  ModelProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  TensorProto_DataType as OnnxType,
  type TensorProto,
  TensorProtoSchema,
  type ValueInfoProto,
  ValueInfoProtoSchema,
} from "./onnx.gen.ts";

export const onnxTypes: Readonly<Record<DType, OnnxType>> = {
  float32: OnnxType.FLOAT,
  float64: OnnxType.DOUBLE,
  float16: OnnxType.FLOAT16,
  int64: OnnxType.INT64,
  int32: OnnxType.INT32,
  int8: OnnxType.INT8,
  uint8: OnnxType.UINT8,
  bool: OnnxType.BOOL,
};

export type OnnxAttribute = number | string | readonly number[] | { float: number } | { graph: GraphProto };

const opset = 21;

/** A tensor's own bytes, without a copy. */
export const bytesOf = ({ data }: HostArray): Uint8Array =>
  new Uint8Array(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength);

export function tensorProto(name: string, value: HostArray): TensorProto {
  return create(TensorProtoSchema, {
    name,
    dataType: onnxTypes[value.dtype],
    dims: value.shape.map(BigInt),
    rawData: bytesOf(value),
  });
}

/** A tensor whose bytes stand in a file (or in memory under that name) beside the model. */
export function externalTensorProto(
  name: string,
  value: HostArray,
  location: string,
  offset = 0,
): TensorProto {
  const entries = {
    location,
    offset: `${offset}`,
    length: `${value.data.length * bytesPerElement(value.dtype)}`,
  };
  return create(TensorProtoSchema, {
    name,
    dataType: onnxTypes[value.dtype],
    dims: value.shape.map(BigInt),
    dataLocation: DataLocation.EXTERNAL,
    externalData: Object.entries(entries).map(([key, value]) => ({ key, value })),
  });
}

export function valueInfo(name: string, dtype: DType, shape: Shape): ValueInfoProto {
  const dim = (d: Dim) =>
    typeof d === "number"
      ? { value: { case: "dimValue" as const, value: BigInt(d) } }
      : { value: { case: "dimParam" as const, value: d } };
  return create(ValueInfoProtoSchema, {
    name,
    type: {
      value: { case: "tensorType", value: { elemType: onnxTypes[dtype], shape: { dim: shape.map(dim) } } },
    },
  });
}

function attribute(name: string, value: OnnxAttribute): AttributeProto {
  if (typeof value === "number")
    return create(AttributeProtoSchema, { name, type: AttributeType.INT, i: BigInt(value) });
  if (typeof value === "string")
    return create(AttributeProtoSchema, {
      name,
      type: AttributeType.STRING,
      s: new TextEncoder().encode(value),
    });
  if ("graph" in value)
    return create(AttributeProtoSchema, { name, type: AttributeType.GRAPH, g: value.graph });
  if ("float" in value)
    return create(AttributeProtoSchema, { name, type: AttributeType.FLOAT, f: value.float });
  return create(AttributeProtoSchema, { name, type: AttributeType.INTS, ints: value.map(BigInt) });
}

/** Where the run-time value of a named dimension can be read. */
export type DimSource =
  /** An axis of a value. */
  | { readonly value: string; readonly axis: number }
  /** Emits the size, int64 [1], when it is first asked for, and returns its name. */
  | { readonly emit: () => string };

export class OnnxBuilder {
  readonly nodes: NodeProto[] = [];
  readonly initializers: TensorProto[] = [];
  readonly #sizes = new Map<string, string>();
  readonly #constants = new Map<string, string>();
  readonly #dims = new Map<string, DimSource>();
  readonly #prefix: string;
  readonly #outer: OnnxBuilder | undefined;
  #count = 0;

  constructor(prefix = "", outer?: OnnxBuilder) {
    this.#prefix = prefix;
    this.#outer = outer;
  }

  fresh(hint: string): string {
    return `${this.#prefix}${hint}_${this.#count++}`;
  }

  /** Adds a node and returns the names of its outputs; a domain stands before a colon in the operator's name. */
  emit(
    operator: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, OnnxAttribute>> = {},
    outputs: number | readonly string[] = 1,
  ): string[] {
    const [domain, opType] = operator.includes(":")
      ? (operator.split(":") as [string, string])
      : ["", operator];
    const names =
      typeof outputs === "number" ? Array.from({ length: outputs }, () => this.fresh(opType)) : outputs;
    this.nodes.push(
      create(NodeProtoSchema, {
        name: this.fresh(opType),
        opType,
        domain,
        input: [...inputs],
        output: [...names],
        attribute: Object.entries(attributes).map(([name, value]) => attribute(name, value)),
      }),
    );
    return [...names];
  }

  /** Renames a value that one of this graph's nodes computes; false when none does. */
  rename(from: string, to: string): boolean {
    const source = this.nodes.find((node) => node.output.includes(from));
    if (!source) return false;
    const replace = (names: string[]) => {
      for (let at = names.indexOf(from); at >= 0; at = names.indexOf(from)) names[at] = to;
    };
    const replaceIn = (nodes: readonly NodeProto[]) => {
      for (const node of nodes) {
        replace(node.input);
        replace(node.output);
        // The body of a loop reads values of the graphs around it by name.
        for (const { g } of node.attribute) if (g) replaceIn(g.node);
      }
    };
    replaceIn(this.nodes);
    return true;
  }

  constant(value: HostArray): string {
    const name = this.fresh("constant");
    this.initializers.push(tensorProto(name, value));
    return name;
  }

  /** A vector of whole numbers, each distinct one once. */
  int64s(values: readonly number[]): string {
    const key = values.join();
    const known = this.#constants.get(key);
    if (known) return known;
    const name = this.constant({
      dtype: "int64",
      shape: [values.length],
      data: BigInt64Array.from(values, BigInt),
    });
    this.#constants.set(key, name);
    return name;
  }

  bindDim(name: string, source: DimSource): void {
    if (!this.#dims.has(name)) this.#dims.set(name, source);
  }

  #knows(name: string): boolean {
    return this.#dims.has(name);
  }

  /** The run-time value of a dimension, int64 [1]. */
  size(dim: Dim): string {
    if (typeof dim === "number") return this.int64s([dim]);
    const known = this.#sizes.get(dim);
    if (known) return known;
    const terms = termsOf(dim);
    const name =
      terms.length === 1 && terms[0]?.coefficient === 1 && terms[0].names.length === 1 ? dim : undefined;
    if (this.#outer && terms.every((t) => t.names.every((n) => !this.#knows(n))))
      return this.#outer.size(dim);
    const value = name ? this.#named(name) : this.#polynomial(terms);
    this.#sizes.set(dim, value);
    return value;
  }

  #named(name: string): string {
    const source = this.#dims.get(name);
    if (!source)
      throw new AttuneError(
        `compile: the size of ${name} is not known: no input has it, and nothing that sliceTo cut to it is used`,
      );
    if ("emit" in source) return source.emit();
    return this.emit("Shape", [source.value], { start: source.axis, end: source.axis + 1 })[0] as string;
  }

  #polynomial(terms: ReturnType<typeof termsOf>): string {
    const products = terms.map(({ coefficient, names }) => {
      const factors = [
        ...names.map((n) => this.size(n)),
        ...(coefficient === 1 && names.length > 0 ? [] : [this.int64s([coefficient])]),
      ];
      return factors.reduce((a, b) => this.emit("Mul", [a, b])[0] as string);
    });
    return products.reduce((a, b) => this.emit("Add", [a, b])[0] as string);
  }

  /** A shape as an int64 vector. With `infer`, one symbolic dimension is left for the runtime to work out (-1). */
  shape(shape: Shape, { infer = false } = {}): string {
    const symbolic = shape.flatMap((d, i) => (typeof d === "string" ? [i] : []));
    const free = infer ? symbolic.at(-1) : undefined;
    const dims = shape.map((d, i) => (i === free ? -1 : d));
    const key = `shape:${dims.join()}`;
    const known = this.#sizes.get(key);
    if (known) return known;
    const parts: string[] = [];
    let run: number[] = [];
    for (const dim of dims) {
      if (typeof dim === "number") run.push(dim);
      else {
        if (run.length > 0) parts.push(this.int64s(run));
        run = [];
        parts.push(this.size(dim));
      }
    }
    if (run.length > 0 || parts.length === 0) parts.push(this.int64s(run));
    const value =
      parts.length === 1 ? (parts[0] as string) : (this.emit("Concat", parts, { axis: 0 })[0] as string);
    this.#sizes.set(key, value);
    return value;
  }

  graph(name: string, inputs: readonly ValueInfoProto[], outputs: readonly ValueInfoProto[]): GraphProto {
    return create(GraphProtoSchema, {
      name,
      node: this.nodes,
      initializer: this.initializers,
      input: [...inputs],
      output: [...outputs],
    });
  }
}

/** Serialises a graph as an ONNX model. */
export function modelBytes(graph: GraphProto): Uint8Array {
  const model = create(ModelProtoSchema, {
    irVersion: 10n,
    producerName: "attune",
    graph,
    opsetImport: [
      { domain: "", version: BigInt(opset) },
      { domain: "com.microsoft", version: 1n },
    ],
  });
  return toBinary(ModelProtoSchema, model);
}
