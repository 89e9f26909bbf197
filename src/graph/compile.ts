/**
 * From a TypeScript function over trees of tensors to a program that an engine can load.
 *
 * The function is traced once with symbolic arguments of the given specifications. What it returns, a tree,
 * becomes the program's result. State that is replaced on every call can be donated: the new value is then
 * written where the old one stood and stays on the device.
 */
import type { HostArray } from "./array.ts";
import { AttuneError, ShapeError } from "./errors.ts";
import { cpuFusions, cpuLowering, cpuTakes } from "./lower/cpu.ts";
import { type Graph, type Lowering, type OnnxModel, prepare, toOnnx } from "./lower/lowering.ts";
import { reachable } from "./lower/passes.ts";
import { webgpu } from "./lower/webgpu.ts";
import { input, type Node, type Tensor, type TensorSpec } from "./tensor.ts";
import { flatten, mapTree, type Tree } from "./tree.ts";

export type Provider = "cpu" | "webgpu" | "cuda" | "wasm";

export const lowerings: Readonly<Record<Provider, Lowering>> = {
  cpu: { table: cpuLowering, fusions: cpuFusions, takes: cpuTakes },
  wasm: { table: cpuLowering, fusions: cpuFusions, takes: cpuTakes },
  cuda: { table: cpuLowering, fusions: cpuFusions, takes: cpuTakes },
  webgpu,
};

export interface CompileOptions {
  provider?: Provider;
  /** Results that replace an argument: key of the result to the argument's position. */
  donate?: Readonly<Record<string, number>>;
  /** Arguments whose values never change, by position; they become part of the program. */
  freeze?: Readonly<Record<number, Tree<HostArray>>>;
}

export interface ProgramInput {
  readonly name: string;
  readonly argument: number;
  readonly path: string;
  readonly spec: TensorSpec;
}

/** A traced and lowered function, ready for an engine of its provider. */
export interface Program {
  readonly provider: Provider;
  readonly model: OnnxModel;
  readonly inputs: readonly ProgramInput[];
  /** Names of the results, which are paths into the tree that the function returned. */
  readonly outputs: readonly string[];
  /** Result name to input name for what is donated; `inPlace` where it may be written over its input. */
  readonly donated: Readonly<Record<string, { input: string; inPlace: boolean }>>;
  readonly nodeCount: number;
  /** The program is one iteration of a scan, which the engine repeats over the leading axis of argument 1. */
  readonly hostLoop?: { readonly length?: number };
}

const inputName = (argument: number, path: string) => `${argument}:${path}`;

/**
 * Traces and lowers a function.
 *
 * @param fn takes one tree of tensors per entry of `specs` and returns a tree of tensors
 * @throws ShapeError or AttuneError with the operation and the shapes when the function does not type-check
 */
export function compile<const Specs extends readonly Tree<TensorSpec>[]>(
  fn: (...args: { [K in keyof Specs]: Tree<Tensor> }) => Tree<Tensor>,
  specs: Specs,
  { provider = "cpu", donate = {}, freeze = {} }: CompileOptions = {},
): Program {
  const all: ProgramInput[] = [];
  const tensors = new Map<string, Tensor>();
  const args = specs.map((tree, argument) =>
    mapTree(tree, (spec, path) => {
      const name = inputName(argument, path);
      const tensor = input(name, spec.dtype, spec.shape);
      all.push({ name, argument, path, spec: { dtype: tensor.dtype, shape: tensor.shape } });
      tensors.set(name, tensor);
      return tensor;
    }),
  );
  const results = flatten(fn(...(args as { [K in keyof Specs]: Tree<Tensor> })));
  const frozen = frozenValues(all, freeze);
  const graph: Graph = {
    inputs: all.map(({ name }) => [name, tensors.get(name) as Tensor]),
    outputs: Object.entries(results),
  };
  const lowering = lowerings[provider];
  const model = toOnnx(graph, lowering, frozen);
  return {
    provider,
    model,
    inputs: all.filter(({ name }) => !(name in frozen)),
    outputs: Object.keys(results),
    donated: donations(graph, donate, lowering),
    nodeCount: model.nodeCount,
  };
}

function frozenValues(
  inputs: readonly ProgramInput[],
  freeze: CompileOptions["freeze"],
): Record<string, HostArray> {
  const frozen: Record<string, HostArray> = {};
  for (const [argument, tree] of Object.entries(freeze ?? {})) {
    const values = flatten(tree);
    for (const { name, path, spec, argument: at } of inputs) {
      if (at !== Number(argument)) continue;
      const value = values[path];
      if (!value) throw new AttuneError(`compile: argument ${argument} is frozen, but ${path} has no value`);
      checkShape(name, spec, value);
      frozen[name] = value;
    }
  }
  return frozen;
}

/** Throws when a value does not have the dtype, rank or fixed dimensions that an input requires. */
export function checkShape(
  name: string,
  spec: TensorSpec,
  value: { dtype: string; shape: readonly number[] },
): void {
  const fits =
    value.dtype === spec.dtype &&
    value.shape.length === spec.shape.length &&
    spec.shape.every((dim, i) => typeof dim === "string" || dim === value.shape[i]);
  if (!fits)
    throw new ShapeError(
      `${name}: ${spec.dtype} [${spec.shape.join(", ")}] is required, got ${value.dtype} [${value.shape.join(", ")}]`,
    );
}

/**
 * Pairs donated results with their inputs. A result may be written over its input only when it is computed
 * elementwise and after everything else that reads the input.
 */
function donations(
  graph: Graph,
  donate: Readonly<Record<string, number>>,
  lowering: Lowering,
): Program["donated"] {
  const pairs: Record<string, { input: string; inPlace: boolean }> = {};
  const byName = new Map(graph.inputs);
  for (const [name, tensor] of graph.outputs) {
    const [root = "", ...rest] = name.split(".");
    const argument = donate[root];
    if (argument === undefined) continue;
    const source = inputName(argument, rest.join("."));
    const target = byName.get(source);
    if (!target)
      throw new AttuneError(`compile: the result ${name} is donated, but there is no argument ${source}`);
    if (`${target.shape}` !== `${tensor.shape}` || target.dtype !== tensor.dtype)
      throw new ShapeError(
        `compile: ${name} is donated with shape [${tensor.shape}] ${tensor.dtype}, its argument has [${target.shape}] ${target.dtype}`,
      );
    pairs[name] = { input: source, inPlace: false };
  }
  if (Object.keys(pairs).length === 0) return pairs;
  const outputs = prepare(
    graph.outputs.map(([, t]) => t),
    lowering,
  );
  const safe = inPlaceWriters(outputs);
  for (const [i, [name]] of graph.outputs.entries()) {
    const pair = pairs[name];
    if (pair) pair.inPlace = safe(outputs[i] as Tensor, byName.get(pair.input) as Tensor);
  }
  return pairs;
}

const elementwise = new Set(["add", "sub", "mul", "div", "where", "neg", "sqrt", "maximum", "minimum"]);

/**
 * Answers whether a result may overwrite an input: every reader of the input, or of a view of it, must come
 * before its writer.
 */
function inPlaceWriters(outputs: readonly Tensor[]): (result: Tensor, source: Tensor) => boolean {
  const nodes = reachable(outputs);
  const readers = new Map<Tensor, Node[]>();
  const views = new Map<Tensor, Tensor>();
  for (const node of nodes) {
    const [y, x] = [node.outputs[0] as Tensor, node.inputs[0]];
    if (node.op === "reshape" && x) views.set(y, views.get(x) ?? x);
    for (const x of node.inputs) {
      const source = views.get(x) ?? x;
      const known = readers.get(source);
      if (known) known.push(node);
      else readers.set(source, [node]);
    }
  }
  const returned = new Set(outputs.map((x) => views.get(x) ?? x));
  const ancestors = new Map<Node, Set<Node>>();
  const ancestorsOf = (node: Node): Set<Node> => {
    const known = ancestors.get(node);
    if (known) return known;
    const found = new Set<Node>();
    const stack = [node];
    for (let at = stack.pop(); at; at = stack.pop())
      for (const x of at.inputs)
        if (!found.has(x.node)) {
          found.add(x.node);
          stack.push(x.node);
        }
    ancestors.set(node, found);
    return found;
  };
  return (result, source) => {
    if (!elementwise.has(result.node.op) || returned.has(source)) return false;
    const before = ancestorsOf(result.node);
    return (readers.get(source) ?? []).every((reader) => reader === result.node || before.has(reader));
  };
}
