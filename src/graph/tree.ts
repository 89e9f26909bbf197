/**
 * Parameter trees: plain nested objects with a leaf type of your choice.
 * `flatten` joins keys with dots, so that a model's paths are its Hugging Face tensor names.
 */
import { AttuneError } from "./errors.ts";

export type Tree<L> = { readonly [key: string]: L | Tree<L> };

/** Leaves are whatever has a `dtype` (symbolic tensors and host arrays alike), or is not a plain object. */
const isBranch = (x: unknown): x is Tree<never> =>
  typeof x === "object" && x !== null && !("dtype" in x) && Object.getPrototypeOf(x) === Object.prototype;

/** `{a: {b: x}}` becomes `{"a.b": x}`, in insertion order. */
export function flatten<L>(tree: Tree<L>): Record<string, L> {
  const out: Record<string, L> = {};
  const walk = (node: Tree<L>, prefix: string) => {
    for (const [key, value] of Object.entries(node)) {
      if (isBranch(value)) walk(value, `${prefix}${key}.`);
      else out[prefix + key] = value as L;
    }
  };
  walk(tree, "");
  return out;
}

/** The inverse of `flatten`; throws when one path is both a leaf and a branch. */
export function unflatten<L>(flat: Readonly<Record<string, L>>): Tree<L> {
  const root: Record<string, unknown> = {};
  for (const [path, leaf] of Object.entries(flat)) {
    const keys = path.split(".");
    const last = keys.pop() as string;
    let node = root;
    for (const key of keys) {
      const next = (node[key] ??= {});
      if (!isBranch(next)) throw new AttuneError(`unflatten: ${path} passes through the leaf ${key}`);
      node = next as Record<string, unknown>;
    }
    if (last in node) throw new AttuneError(`unflatten: ${path} is both a leaf and a branch`);
    node[last] = leaf;
  }
  return root as Tree<L>;
}

/** Applies `fn` to every leaf and its path, and keeps the structure. */
export function mapTree<L, M>(tree: Tree<L>, fn: (leaf: L, path: string) => M): Tree<M> {
  const walk = (node: Tree<L>, prefix: string): Tree<M> =>
    Object.fromEntries(
      Object.entries(node).map(([key, value]) => [
        key,
        isBranch(value) ? walk(value as Tree<L>, `${prefix}${key}.`) : fn(value as L, prefix + key),
      ]),
    );
  return walk(tree, "");
}

/** Combines two trees of the same structure leaf by leaf; throws with the paths that only one of them has. */
export function zipTree<A, B, C>(a: Tree<A>, b: Tree<B>, fn: (a: A, b: B, path: string) => C): Tree<C> {
  const flatA = flatten(a);
  const flatB = flatten(b);
  const odd = [
    ...Object.keys(flatA).filter((p) => !(p in flatB)),
    ...Object.keys(flatB).filter((p) => !(p in flatA)),
  ];
  if (odd.length > 0)
    throw new AttuneError(`zipTree: only one of the trees has ${odd.slice(0, 8).join(", ")}`);
  return mapTree(a, (leaf, path) => fn(leaf, flatB[path] as B, path));
}
