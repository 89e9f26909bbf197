/**
 * A function of rows, some rows at a time, forward and backward: of what it computes for all rows only the results are
 * ever there as a whole. The values are the same; the gradient computes each chunk again (Chen et al. 2016).
 *
 * What it is for are logits: [N, V] for long rows and a large vocabulary is more than all activations of a model, and
 * what is made of it are a few numbers a row.
 */
import type { Dim } from "../dims.ts";
import { AttuneError } from "../errors.ts";
import {
  add,
  addAll,
  arange,
  cast,
  dimValue,
  full,
  gather,
  greaterEqual,
  less,
  minimum,
  mul,
  reshape,
  stopGradient,
  sum,
} from "../ops/index.ts";
import { scan } from "../scan.ts";
import { makeNode, type Tensor } from "../tensor.ts";

type Named = Record<string, Tensor>;

/** Figures of rows [n, ...], each [n]; `shared` is what all rows read, such as a weight. */
export type RowFunction<R extends Named, S extends Named, K extends string> = (
  rows: R,
  shared: S,
) => Record<K, Tensor>;

/** The same values, of which a gradient goes no further. */
const leaves = <T extends Named>(tensors: T): T =>
  Object.fromEntries(Object.entries(tensors).map(([name, x]) => [name, stopGradient(x)])) as T;

/** What the walk that differentiates gives to a chunked node. */
export interface ChunkWalk {
  /** The gradients of the node's results. */
  readonly dys: readonly (Tensor | undefined)[];
  /** Whether an argument needs a gradient. */
  readonly needed: (x: Tensor) => boolean;
  readonly gradientOf: (loss: Tensor, wrt: readonly Tensor[]) => Tensor[];
}

type Rule = (walk: ChunkWalk) => (readonly [argument: Tensor, gradient: Tensor])[];

const rules = new WeakMap<object, Rule>();

/** The gradients that a chunked node sends to its arguments. */
export const chunkedGradients = (node: Tensor["node"], walk: ChunkWalk): ReturnType<Rule> =>
  rules.get(node)?.(walk) ?? [];

/**
 * The figures of `fn`, computed for `size` rows at a time.
 *
 * There is no gradient of its gradient.
 *
 * @param rows values with the same leading axis N
 * @param shared what `fn` needs beside them; what it reads without naming it here gets no gradient
 * @returns what `fn` returns, each [N]
 */
export function inChunks<R extends Named, S extends Named, K extends string>(
  fn: RowFunction<R, S, K>,
  rows: R,
  shared: S,
  size: number,
): Record<K, Tensor> {
  const count = Object.values(rows)[0]?.shape[0];
  if (count === undefined || !(Number.isInteger(size) && size > 0))
    throw new AttuneError(`inChunks: rows, and at least 1 of them a chunk, are required, got ${size}`);
  const total = dimValue(count, "int64");
  /** The rows of chunk i; behind the last one it is repeated. */
  const numbersOf = (i: Tensor) => add(mul(i, size), arange(size));
  const chunkOf = <T extends Named>(all: T, i: Tensor): T => {
    const at = minimum(numbersOf(i), add(total, -1));
    return Object.fromEntries(Object.entries(all).map(([name, x]) => [name, gather(x, at)])) as T;
  };
  const isLast = (i: Tensor) => greaterEqual(mul(add(i, 1), size), total);
  /** Results of chunks, [chunks, size, ...], as those of rows, [N, ...]. */
  const joined = (x: Tensor): Tensor => gather(reshape(x, [-1, ...x.shape.slice(2)]), arange(count));

  const { ys } = scan(
    (_, __, i: Tensor) => ({ carry: {}, y: fn(chunkOf(rows, i), shared), until: isLast(i) }),
    { carry: {}, length: count },
  );
  const names = Object.keys(ys) as K[];
  const results = names.map((name) => joined((ys as Named)[name] as Tensor));
  const args = [...Object.values(rows), ...Object.values(shared)];
  const outputs = makeNode("inChunks", [...args, ...results], {}, results);

  const rule: Rule = ({ dys, needed, gradientOf }) => {
    const known: Named = {};
    for (const [k, dy] of dys.entries()) if (dy) known[names[k] as string] = dy;
    const isWanted = ([, x]: [string, Tensor]) => x.dtype.startsWith("float") && needed(x);
    const wanted = {
      rows: Object.entries(rows).filter(isWanted),
      shared: Object.entries(shared).filter(isWanted),
    };
    const { carry, ys } = scan(
      (sums: Named, _, i) => {
        // What goes into a chunk is a leaf of its gradient: rows and weights may depend on each other outside.
        const own = leaves(chunkOf(rows, i));
        const parts = leaves(shared);
        const figures = fn(own, parts) as Named;
        const real = less(numbersOf(i), total);
        const terms = Object.entries(leaves(chunkOf(known, i))).map(([name, dy]) =>
          sum(mul(figures[name] as Tensor, mul(dy, cast(real, dy.dtype)))),
        );
        const targets = [
          ...wanted.rows.map(([name]) => own[name] as Tensor),
          ...wanted.shared.map(([name]) => parts[name] as Tensor),
        ];
        const gradients = gradientOf(addAll(terms), targets);
        const ofShared = gradients.slice(wanted.rows.length);
        return {
          carry: Object.fromEntries(
            wanted.shared.map(([name], k) => [name, add(sums[name] as Tensor, ofShared[k] as Tensor)]),
          ),
          y: Object.fromEntries(wanted.rows.map(([name], k) => [name, gradients[k] as Tensor])),
          until: isLast(i),
        };
      },
      {
        carry: Object.fromEntries(
          wanted.shared.map(([name, x]) => [name, full(x.shape as Dim[], 0, x.dtype)]),
        ),
        length: count,
      },
    );
    return [
      ...wanted.rows.map(([name, x]) => [x, joined((ys as Named)[name] as Tensor)] as const),
      ...wanted.shared.map(([name, x]) => [x, carry[name] as Tensor] as const),
    ];
  };
  if (outputs[0]) rules.set(outputs[0].node, rule);
  return Object.fromEntries(names.map((name, k) => [name, outputs[k] as Tensor])) as Record<K, Tensor>;
}
