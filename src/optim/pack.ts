/**
 * Joins small parameters into vectors. A transformer has a dozen biases and norms a layer; as one vector they cost an
 * optimiser a few operations instead of a dozen for each, and a run of the graph a few arguments instead of hundreds.
 *
 * Packing is a change of variables: the loss unpacks its parameters, and the gradient arrives packed.
 */
import {
  AttuneError,
  flatten,
  type HostArray,
  hostArray,
  reshape,
  type Shape,
  split,
  type Tensor,
  type TensorSpec,
  type Tree,
  unflatten,
} from "../graph/index.ts";

/** Vectors of at most this many elements are joined. */
const small = 16_384;

export interface Packing {
  /** The packed tree's specifications. A group stands under the path of its first member. */
  readonly specs: Tree<TensorSpec>;
  /** The parameters of a packed tree, inside a graph. */
  unpack(packed: Tree<Tensor>): Tree<Tensor>;
  packArrays(tree: Tree<HostArray>): Tree<HostArray>;
  unpackArrays(packed: Tree<HostArray>): Tree<HostArray>;
}

interface Member {
  readonly path: string;
  readonly size: number;
}

/**
 * Plans the groups of float32 vectors; those with different `groupOf` are kept apart, because an optimiser treats
 * them differently.
 */
export function packing(
  params: Tree<TensorSpec>,
  groupOf: (path: string, shape: Shape) => string = () => "all",
): Packing {
  const flat = flatten(params);
  const byKey = new Map<string, Member[]>();
  for (const [path, { shape, dtype }] of Object.entries(flat)) {
    const [size] = shape;
    if (shape.length !== 1 || typeof size !== "number" || size > small || dtype !== "float32") continue;
    const key = groupOf(path, shape);
    byKey.set(key, [...(byKey.get(key) ?? []), { path, size }]);
  }
  const groups = new Map([...byKey.values()].map((members) => [members[0]?.path as string, members]));
  const inner = new Set([...groups.values()].flatMap((members) => members.slice(1).map(({ path }) => path)));
  const sizeOf = (members: readonly Member[]) => members.reduce((n, { size }) => n + size, 0);
  const leaf = <L>(tree: Record<string, L>, path: string): L => {
    const found = tree[path];
    if (!found) throw new AttuneError(`packing: the tree has no ${path}`);
    return found;
  };
  const specs = Object.entries(flat).flatMap(([path, spec]): [string, TensorSpec][] => {
    const members = groups.get(path);
    if (members) return [[path, { dtype: spec.dtype, shape: [sizeOf(members)] }]];
    return inner.has(path) ? [] : [[path, spec]];
  });
  /** Takes a packed tree apart; `cut` divides one group's vector. */
  const apart = <L>(packed: Tree<L>, cut: (vector: L, members: readonly Member[]) => L[]): Tree<L> => {
    const given = flatten(packed);
    const parts: Record<string, L> = {};
    for (const [path, members] of groups)
      for (const [i, piece] of cut(leaf(given, path), members).entries())
        parts[(members[i] as Member).path] = piece;
    return unflatten(Object.fromEntries(Object.keys(flat).map((p) => [p, parts[p] ?? leaf(given, p)])));
  };
  return {
    specs: unflatten(Object.fromEntries(specs)),
    unpack: (packed) =>
      apart(packed, (vector, members) =>
        split(
          vector,
          members.map(({ size }) => size),
          0,
        ).map((piece, i) => reshape(piece, [(members[i] as Member).size])),
      ),
    packArrays(tree) {
      const given = flatten(tree);
      const joined = specs.map(([path]) => {
        const members = groups.get(path);
        if (!members) return [path, leaf(given, path)];
        const data = new Float32Array(sizeOf(members));
        let at = 0;
        for (const member of members) {
          data.set(leaf(given, member.path).data as Float32Array, at);
          at += member.size;
        }
        return [path, hostArray("float32", [data.length], data)];
      });
      return unflatten(Object.fromEntries(joined));
    },
    unpackArrays: (packed) =>
      apart(packed, (vector, members) => {
        let at = 0;
        return members.map(({ size }) => {
          const piece = (vector.data as Float32Array).slice(at, at + size);
          at += size;
          return hostArray("float32", [size], piece);
        });
      }),
  };
}
