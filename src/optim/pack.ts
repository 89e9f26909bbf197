/**
 * Joins small parameters into vectors, so that an optimiser handles a model's many biases and norms in a few
 * long operations instead of a dozen tiny ones for each.
 */
import { AttuneError, concat, flatten, reshape, split, type Tensor, type Tree, unflatten } from "../graph/index.ts";

/** Vectors of at most this many elements are joined. */
const small = 16_384;

interface Group {
  readonly name: string;
  readonly members: readonly { path: string; size: number }[];
}

export interface Packing {
  /** Replaces the members of each group by one vector; the other leaves stay. */
  pack(tree: Tree<Tensor>): Tree<Tensor>;
  /** The inverse of `pack`. */
  unpack(tree: Tree<Tensor>): Tree<Tensor>;
}

/** Plans groups for parameters; leaves with different `groupOf` are never joined. */
export function packing(params: Tree<Tensor>, groupOf: (path: string, shape: Tensor["shape"]) => string): Packing {
  const groups = new Map<string, { path: string; size: number }[]>();
  const order = Object.entries(flatten(params)).map(([path, { shape }]) => {
    const [size] = shape;
    if (shape.length === 1 && typeof size === "number" && size <= small) {
      const key = `packed ${groupOf(path, shape)}`;
      groups.set(key, [...(groups.get(key) ?? []), { path, size }]);
    }
    return path;
  });
  const planned: Group[] = [...groups].map(([name, members]) => ({ name, members }));
  const packed = new Set(planned.flatMap(({ members }) => members.map(({ path }) => path)));
  const leaf = (flat: Record<string, Tensor>, path: string): Tensor => {
    const found = flat[path];
    if (!found) throw new AttuneError(`packing: the tree has no ${path}`);
    return found;
  };
  return {
    pack(tree) {
      const flat = flatten(tree);
      const out: Record<string, Tensor> = {};
      for (const path of order) if (!packed.has(path)) out[path] = leaf(flat, path);
      for (const { name, members } of planned) out[name] = concat(members.map(({ path }) => leaf(flat, path)), 0);
      return unflatten(out);
    },
    unpack(tree) {
      const flat = flatten(tree);
      const out: Record<string, Tensor> = {};
      for (const { name, members } of planned) {
        const parts = split(leaf(flat, name), members.map(({ size }) => size), 0);
        for (const [i, { path, size }] of members.entries()) out[path] = reshape(parts[i] as Tensor, [size]);
      }
      return unflatten(Object.fromEntries(order.map((path) => [path, out[path] ?? leaf(flat, path)])));
    },
  };
}
