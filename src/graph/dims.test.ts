import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  addDims,
  broadcastShapes,
  canonicalDim,
  type Dim,
  divideDims,
  evaluateDim,
  multiplyDims,
  sizeOfShape,
  subtractDims,
  termsOf,
} from "./dims.ts";
import { AttuneError, ShapeError } from "./errors.ts";

const names = ["B", "T", "layer.0", "x_1"];
const bindings = { B: 3, T: 7, "layer.0": 2, x_1: 5 };
const value = (dim: Dim) => evaluateDim(dim, bindings);

/** A product of names and a factor, as text in any order. */
const term = fc
  .tuple(
    fc.integer({ min: 1, max: 6 }),
    fc.array(fc.constantFrom(...names), { minLength: 1, maxLength: 3 }),
    fc.boolean(),
  )
  .map(([c, factors, first]) => (first ? [c, ...factors] : [...factors, c]).join("*"));
const signed = fc.tuple(
  fc.constantFrom("+", "-"),
  fc.oneof(term, fc.integer({ min: 0, max: 9 }).map(String)),
);
/** A dimension: a number, or a sum of terms that no canonical form has been made of. */
const dim: fc.Arbitrary<Dim> = fc.oneof(
  fc.nat(20),
  fc
    .tuple(term, fc.array(signed, { maxLength: 4 }))
    .map(([head, rest]) => head + rest.map(([s, t]) => ` ${s} ${t}`).join("")),
);
/** Text with the value of a dimension, by JavaScript's own arithmetic. */
const direct = (d: Dim): number =>
  `${d}`
    .replace(/\s/g, "")
    .replace(/-/g, "+-")
    .split("+")
    .reduce((sum, part) => {
      const sign = part.startsWith("-") ? -1 : 1;
      const factors = part.replace(/^-/, "").split("*");
      return (
        sum + sign * factors.reduce((p, f) => p * (bindings[f as keyof typeof bindings] ?? Number(f)), 1)
      );
    }, 0);
/** Dimensions that are never a negative number. */
const positive = dim.filter((d) => !/^-\d+$/.test(`${addDims(d, 0)}`));

describe("dimensions", () => {
  it("evaluate to what their text says", () => {
    fc.assert(fc.property(dim, (a) => value(a) === direct(a)));
  });

  it("have one canonical form", () => {
    fc.assert(
      fc.property(positive, (a) => {
        const canonical = canonicalDim(a);
        return canonicalDim(canonical) === canonical && value(canonical) === value(a);
      }),
    );
    expect(canonicalDim("T * B + 1+B*T")).toBe("2*B*T+1");
    expect(canonicalDim("T - T + 4")).toBe(4);
    expect(canonicalDim("0*B")).toBe(0);
  });

  it("add, subtract and multiply as numbers do", () => {
    fc.assert(
      fc.property(dim, dim, (a, b) => {
        expect(value(addDims(a, b))).toBe(value(a) + value(b));
        expect(value(subtractDims(a, b))).toBe(value(a) - value(b));
        expect(value(multiplyDims(a, b))).toBe(value(a) * value(b) + 0);
      }),
    );
  });

  it("obey the laws of a ring as texts", () => {
    fc.assert(
      fc.property(dim, dim, dim, (a, b, c) => {
        expect(addDims(a, b)).toBe(addDims(b, a));
        expect(multiplyDims(a, b)).toBe(multiplyDims(b, a));
        expect(addDims(addDims(a, b), c)).toBe(addDims(a, addDims(b, c)));
        expect(multiplyDims(a, addDims(b, c))).toBe(addDims(multiplyDims(a, b), multiplyDims(a, c)));
        expect(subtractDims(addDims(a, b), b)).toBe(addDims(a, 0));
        expect(subtractDims(a, a)).toBe(0);
      }),
    );
  });

  it("divide by a term exactly or not at all", () => {
    fc.assert(
      fc.property(dim, term, (a, t) => void expect(divideDims(multiplyDims(a, t), t)).toBe(addDims(a, 0))),
    );
    expect(divideDims("B*T", "T")).toBe("B");
    expect(divideDims("2*B*T+4*T", "2*T")).toBe("B+2");
    expect(divideDims("B+1", "B")).toBeUndefined();
    expect(divideDims("3*B", 2)).toBeUndefined();
    expect(divideDims(6, 4)).toBeUndefined();
    expect(divideDims("B", 0)).toBeUndefined();
    expect(divideDims(6, 0)).toBeUndefined();
  });

  it("list their terms", () => {
    expect(termsOf("2*B*T-1")).toEqual([
      { coefficient: 2, names: ["B", "T"] },
      { coefficient: -1, names: [] },
    ]);
  });

  it("refuse what is no dimension", () => {
    for (const bad of ["", "B+", "B--T", "B/2", "2.5", "B*", "3B", "*", "-"])
      expect(() => canonicalDim(bad), bad).toThrow(AttuneError);
    for (const bad of [-1, 1.5, Number.NaN, "-3", "B-B-1"])
      expect(() => canonicalDim(bad), `${bad}`).toThrow(ShapeError);
    expect(() => evaluateDim("B*N", { B: 2 })).toThrow("the name N has no value");
  });
});

describe("broadcasting", () => {
  it("aligns trailing axes and stretches 1", () => {
    expect(broadcastShapes(["B", 1, 4], ["T", 1])).toEqual(["B", "T", 4]);
    expect(broadcastShapes([], ["B"])).toEqual(["B"]);
    expect(broadcastShapes(["B"], ["T"])).toBeUndefined();
    expect(broadcastShapes(["B"], [2])).toBeUndefined();
  });

  it("does not depend on the order and keeps a shape with itself", () => {
    const shape = fc.array(fc.constantFrom<Dim>(1, 2, 3, "B", "T+1"), { maxLength: 4 });
    fc.assert(
      fc.property(shape, shape, (a, b) => {
        expect(broadcastShapes(a, b)).toEqual(broadcastShapes(b, a));
        expect(broadcastShapes(a, a)).toEqual(a);
      }),
    );
  });

  it("the size of a shape is the product of its dimensions", () => {
    expect(sizeOfShape(["B", 2, "T+1"])).toBe("2*B+2*B*T");
    expect(sizeOfShape([])).toBe(1);
  });
});
