import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { hostArray } from "./array.ts";
import { input } from "./tensor.ts";
import { flatten, mapTree, type Tree, unflatten, zipTree } from "./tree.ts";

const key = fc.constantFrom("weight", "bias", "0", "1", "attn", "h");
const tree: fc.Arbitrary<Tree<number>> = fc.letrec<{ tree: Tree<number>; node: number | Tree<number> }>(
  (tie) => ({
    tree: fc.dictionary(key, tie("node"), { minKeys: 1, maxKeys: 3, noNullPrototype: true }),
    node: fc.oneof({ maxDepth: 3 }, fc.integer(), tie("tree")),
  }),
).tree;

describe("parameter trees", () => {
  it("come back from their flat form", () => {
    fc.assert(fc.property(tree, (t) => void expect(unflatten(flatten(t))).toEqual(t)));
  });

  it("map to the same paths", () => {
    fc.assert(
      fc.property(tree, (t) => {
        const paths = flatten(mapTree(t, (leaf, path) => `${path}=${leaf}`));
        expect(paths).toEqual(
          Object.fromEntries(Object.entries(flatten(t)).map(([p, v]) => [p, `${p}=${v}`])),
        );
      }),
    );
  });

  it("zip with a tree of the same structure", () => {
    fc.assert(
      fc.property(
        tree,
        (t) =>
          void expect(
            zipTree(
              t,
              mapTree(t, (x) => -x),
              (a, b) => a + b,
            ),
          ).toEqual(mapTree(t, () => 0)),
      ),
    );
  });

  it("have Hugging Face names as paths, and arrays and tensors as leaves", () => {
    const array = hostArray("float32", [1], [1]);
    const tensor = input("x", "float32", [1]);
    const flat = flatten<unknown>({ transformer: { h: { 0: { weight: array } }, wte: tensor } });
    expect(flat).toEqual({ "transformer.h.0.weight": array, "transformer.wte": tensor });
  });

  it("name the paths that only one side has", () => {
    expect(() => zipTree({ a: { b: 1 } }, { a: { c: 1 } }, () => 0)).toThrow("a.b, a.c");
  });

  it("refuse a path that is a leaf and a branch", () => {
    expect(() => unflatten({ a: 1, "a.b": 2 })).toThrow("passes through the leaf a");
    expect(() => unflatten({ "a.b": 2, a: 1 })).toThrow("both a leaf and a branch");
  });
});
