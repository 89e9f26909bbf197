/**
 * Iteration inside a graph: a body that is traced once and run for each element of a leading axis.
 *
 * The body becomes a closed graph: its inputs are the iteration's number, the carried values, and one stand-in
 * for every value that it reads from outside. Those values are inputs of the scan's node, so every walk over
 * a graph sees them, and what does not depend on the iteration is computed once, outside.
 *
 * Providers lower a scan to ONNX `Loop`, or `compileScan` (compile-scan.ts) drives its body from the host.
 * A program cannot be interrupted, so choose the number of iterations of one run such that it takes at most
 * about two seconds: progress is shown, and Ctrl-C is obeyed, between runs.
 */
import type { HostArray } from "./array.ts";
import { canonicalDim, type Dim, sameShape, showShape } from "./dims.ts";
import { AttuneError, ShapeError } from "./errors.ts";
import { reachable } from "./lower/passes.ts";
import { add, dimValue, gather, isFinite, not, scalar, where } from "./ops/index.ts";
import { input, makeNode, type Node, type Subgraph, type Tensor } from "./tensor.ts";
import { flatten, mapTree, type Tree, zipTree } from "./tree.ts";

type Tensors = Tree<Tensor>;

/** What one iteration returns. */
export interface ScanStep<C extends Tensors = Tensors, Y extends Tensors = Tensors> {
  /** The values that the next iteration gets, with the paths, shapes and dtypes of those that came in. */
  readonly carry: C;
  /** Results of this iteration. */
  readonly y?: Y;
  /** A bool scalar; when it holds, this iteration is the last one. */
  readonly until?: Tensor;
}

export type ScanBody<C extends Tensors, X extends Tensors, Y extends Tensors> = (
  carry: C,
  /** This iteration's elements of `xs`. */
  x: X,
  /** The iteration's number from 0, an int64 scalar. */
  i: Tensor,
) => ScanStep<C, Y>;

export interface ScanOptions<C extends Tensors, X extends Tensors> {
  readonly carry: C;
  /** Values with a leading axis, one element of it per iteration; all leading axes are equal. */
  readonly xs?: X;
  /** Iterations, at most; the leading axis of `xs` by default. */
  readonly length?: Dim;
}

export interface ScanResult<C extends Tensors, Y extends Tensors> {
  readonly carry: C;
  /** The results of all iterations that ran, stacked along a new leading axis. */
  readonly ys: Y;
  /** How many iterations ran, an int64 scalar. */
  readonly iterations: Tensor;
}

/** Attributes of a scan's node; its inputs are the carried values, then the captured ones. */
export interface ScanAttributes {
  /** Inputs: number, carried, captured. Outputs: whether to go on (with `stops`), carried, results. */
  readonly body: Subgraph;
  readonly length: Dim;
  /** How many values are carried. */
  readonly carried: number;
  /** The body can end the loop early; its first carried value then counts iterations. */
  readonly stops: boolean;
  /** The name of the leading axis of the results where the loop can end early. */
  readonly name: string | undefined;
}

let scans = 0;

/**
 * Runs a body once per element of the leading axis of `xs`, in order.
 *
 * There is no gradient through a scan; take gradients inside the body.
 *
 * @example
 * const { carry, ys } = scan(
 *   ({ params, state }, { batch }) => {
 *     const [loss, next] = step(params, state, batch);
 *     return { carry: next, y: { loss } };
 *   },
 *   { carry: { params, state }, xs: { batch } },   // batch: [K, B, T]
 * );                                                // ys.loss: [K]
 * @throws ShapeError when the carried values change shape or dtype, or the leading axes of `xs` differ
 */
export function scan<
  C extends Tensors,
  X extends Tensors = Record<string, never>,
  Y extends Tensors = Tensors,
>(body: ScanBody<C, X, Y>, { carry, xs, length }: ScanOptions<C, X>): ScanResult<C, Y> {
  const trips = lengthOf(xs ?? {}, length);
  const i = input("i", "int64", []);
  const initial = flatten<Tensor>(carry);
  const inside = mapTree<Tensor, Tensor>(carry, ({ dtype, shape }, path) =>
    input(`carry.${path}`, dtype, shape),
  );
  const step = body(inside as C, mapTree<Tensor, Tensor>(xs ?? {}, (x) => gather(x, i)) as X, i);
  const next = flatten<Tensor>(step.carry);
  zipTree<Tensor, Tensor, void>(carry, step.carry, checkCarried);
  const results = flatten<Tensor>(step.y ?? {});
  const until = step.until;
  if (until && (until.dtype !== "bool" || until.shape.length > 0))
    throw new ShapeError(`scan: until must be a bool scalar, got ${until.dtype} ${showShape(until.shape)}`);
  // Where the loop may stop early, the number of iterations is itself carried.
  const count = until ? [[input("iterations", "int64", []), scalar(0, "int64"), add(i, 1)] as const] : [];
  const paths = Object.keys(initial);
  const placeholders = flatten<Tensor>(inside);
  const carried = [
    ...count,
    ...paths.map((p) => [placeholders[p], initial[p], next[p]] as readonly Tensor[]),
  ];
  const { graph, captured } = close(
    [i, ...carried.map(([placeholder]) => placeholder as Tensor)],
    [
      ...(until ? [not(until)] : []),
      ...carried.map(([, , after]) => after as Tensor),
      ...Object.values(results),
    ],
  );
  const name = until ? `iterations@${scans++}` : undefined;
  const outputs = makeNode(
    "scan",
    [...carried.map(([, before]) => before as Tensor), ...captured],
    { body: graph, length: trips, carried: carried.length, stops: until !== undefined, name },
    [
      ...carried.map(([, before]) => before as Tensor),
      ...Object.values(results).map(({ dtype, shape }) => ({ dtype, shape: [name ?? trips, ...shape] })),
    ],
  );
  const rest = outputs.slice(count.length);
  const at = new Map(
    [...paths, ...Object.keys(results).map((p) => `y:${p}`)].map((p, k) => [p, rest[k] as Tensor]),
  );
  return {
    carry: mapTree<Tensor, Tensor>(carry, (_, p) => at.get(p) as Tensor) as C,
    ys: mapTree<Tensor, Tensor>(step.y ?? {}, (_, p) => at.get(`y:${p}`) as Tensor) as Y,
    iterations: until ? (outputs[0] as Tensor) : dimValue(trips, "int64"),
  };
}

/** Lets an update that is not finite keep the old state: next where `probe` is finite, else previous. */
export const keepIfFinite = <T extends Tensors>(next: T, previous: T, probe: Tensor): T => {
  const keep = isFinite(probe);
  return zipTree<Tensor, Tensor, Tensor>(next, previous, (a, b) => where(keep, a, b)) as T;
};

/** The number of iterations: the leading axis that all of `xs` share, or `length`. */
function lengthOf(xs: Tensors, length: Dim | undefined): Dim {
  const found = Object.entries(flatten<Tensor>(xs)).map(([path, { shape }]) => [path, shape[0]] as const);
  const trips = length === undefined ? found[0]?.[1] : canonicalDim(length);
  if (trips === undefined) throw new AttuneError("scan: xs with a leading axis, or a length, is required");
  for (const [path, size] of found)
    if (size !== trips)
      throw new ShapeError(`scan: ${path} has ${size} elements along its first axis, not ${trips}`);
  return trips;
}

function checkCarried(before: Tensor, after: Tensor, path: string): void {
  if (before.dtype === after.dtype && sameShape(before.shape, after.shape)) return;
  throw new ShapeError(
    `scan: ${path} is carried as ${before.dtype} ${showShape(before.shape)}, but the body returned ${after.dtype} ${showShape(after.shape)}`,
  );
}

/** The dimension whose size a node decides at run time, and the scalar that holds it. */
export function boundDim(node: Node): { name: string; size: Tensor } | undefined {
  const name = node.attributes.name as string | undefined;
  if (name === undefined) return undefined;
  if (node.op === "sliceTo") return { name, size: node.inputs[1] as Tensor };
  return node.op === "scan" ? { name, size: node.outputs[0] as Tensor } : undefined;
}

/** Small constants and what is filled with one stay inside a body, where passes can see their values. */
const isFill = (node: Node): boolean =>
  node.op === "constant"
    ? (node.attributes.value as HostArray).data.length <= 16
    : node.op === "expand" && isFill((node.inputs[0] as Tensor).node);

/** The names among a node's dimensions. */
function namesIn({ op, attributes, outputs }: Node): string[] {
  if (op === "constant" || op === "input") return [];
  const dims = [...outputs.flatMap(({ shape }) => shape), ...Object.values(attributes).flat()];
  return dims.flatMap(namesOf);
}

const namesOf = (dim: unknown): string[] =>
  typeof dim === "string" ? (dim.match(/[A-Za-z][\w.@]*/g) ?? []) : [];

/** Nodes that change from iteration to iteration: they depend on the body's inputs, or on a size set inside. */
function varying(
  nodes: readonly Node[],
  inputs: readonly Tensor[],
): { found: Set<Node>; bound: Set<string> } {
  const found = new Set(inputs.map((x) => x.node));
  const bound = new Set<string>();
  for (let before = -1; before < found.size; ) {
    before = found.size;
    for (const node of nodes) {
      const depends =
        node.inputs.some((x) => found.has(x.node)) || namesIn(node).some((name) => bound.has(name));
      if (!depends) continue;
      found.add(node);
      const name = boundDim(node)?.name;
      if (name !== undefined) bound.add(name);
    }
  }
  return { found, bound };
}

/** Makes a graph of what lies between inputs and outputs, with stand-ins for what it reads from elsewhere. */
function close(
  inputs: readonly Tensor[],
  outputs: readonly Tensor[],
): { graph: Subgraph; captured: Tensor[] } {
  const nodes = reachable(outputs);
  const { found: inside, bound } = varying(nodes, inputs);
  for (const { shape } of outputs)
    for (const dim of shape)
      if (namesOf(dim).some((name) => bound.has(name)))
        throw new ShapeError(
          `scan: a result ${showShape(shape)} changes its size ${dim} with the iteration; reduce it`,
        );
  const done = new Map<Tensor, Tensor>(inputs.map((x) => [x, x]));
  const captured = new Map<Tensor, Tensor>();
  const standIn = (x: Tensor): Tensor => {
    const made = captured.get(x) ?? input(`captured.${captured.size}`, x.dtype, x.shape);
    captured.set(x, made);
    return made;
  };
  const inner = (x: Tensor): Tensor => done.get(x) ?? (isFill(x.node) ? x : standIn(x));
  for (const node of nodes) {
    if (!inside.has(node) || node.op === "input") continue;
    const made = makeNode(node.op, node.inputs.map(inner), node.attributes, node.outputs);
    for (const [k, y] of node.outputs.entries()) done.set(y, made[k] as Tensor);
  }
  const results = outputs.map(inner);
  return {
    graph: { inputs: [...inputs, ...captured.values()], outputs: results },
    captured: [...captured.keys()],
  };
}
