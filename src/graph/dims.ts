/**
 * Dimensions of symbolic tensors: a number, a name, or a polynomial of names with whole coefficients.
 *
 * A symbolic dimension is kept as one canonical string ("B*T", "T+1", "2*B-1"), so that two dimensions
 * are equal exactly when they are `===`. Names start with a letter and may hold letters, digits, _ . and @.
 */
import { AttuneError, ShapeError } from "./errors.ts";

export type Dim = number | string;
export type Shape = readonly Dim[];

/** Coefficient by monomial; a monomial is its sorted names joined by "*", "" for the constant term. */
type Polynomial = Map<string, number>;

const name = /^[A-Za-z][\w.@]*$/;
const parsed = new Map<string, Polynomial>();

function parse(dim: Dim): Polynomial {
  if (typeof dim === "number") return dim === 0 ? new Map() : new Map([["", dim]]);
  const known = parsed.get(dim);
  if (known) return known;
  const polynomial: Polynomial = new Map();
  const text = dim.replace(/\s/g, "");
  if (!/^[+-]?[^+-]+([+-][^+-]+)*$/.test(text))
    throw new AttuneError(`dimension: "${dim}" is not a sum of products of names and whole numbers`);
  for (const [, sign, term] of text.matchAll(/([+-]?)([^+-]+)/g)) {
    const factors = (term as string).split("*");
    let coefficient = sign === "-" ? -1 : 1;
    const names: string[] = [];
    for (const factor of factors) {
      if (/^\d+$/.test(factor)) coefficient *= Number(factor);
      else if (name.test(factor)) names.push(factor);
      else throw new AttuneError(`dimension: "${dim}" is not a sum of products of names and whole numbers`);
    }
    accumulate(polynomial, names.sort().join("*"), coefficient);
  }
  parsed.set(dim, polynomial);
  return polynomial;
}

function accumulate(polynomial: Polynomial, monomial: string, coefficient: number): void {
  const sum = (polynomial.get(monomial) ?? 0) + coefficient;
  if (sum === 0) polynomial.delete(monomial);
  else polynomial.set(monomial, sum);
}

function format(polynomial: Polynomial): Dim {
  if (polynomial.size === 0) return 0;
  const constant = polynomial.get("");
  if (polynomial.size === 1 && constant !== undefined) return constant;
  const order = ([a]: [string, number], [b]: [string, number]) =>
    a === "" ? 1 : b === "" ? -1 : a < b ? -1 : 1;
  const terms = [...polynomial].sort(order).map(([monomial, c]) => {
    if (monomial === "") return c < 0 ? `${c}` : `+${c}`;
    if (c === 1) return `+${monomial}`;
    return c === -1 ? `-${monomial}` : `${c < 0 ? "" : "+"}${c}*${monomial}`;
  });
  return terms.join("").replace(/^\+/, "");
}

/** Checks a dimension and brings it to its canonical form. */
export function canonicalDim(dim: Dim): Dim {
  const canonical = typeof dim === "number" ? dim : format(parse(dim));
  if (typeof canonical === "number" && (!Number.isInteger(canonical) || canonical < 0))
    throw new ShapeError(`dimension: a whole number of at least 0 is required, got ${canonical}`);
  return canonical;
}

export function addDims(a: Dim, b: Dim): Dim {
  if (typeof a === "number" && typeof b === "number") return a + b;
  const sum = new Map(parse(a));
  for (const [monomial, c] of parse(b)) accumulate(sum, monomial, c);
  return format(sum);
}

export function subtractDims(a: Dim, b: Dim): Dim {
  if (typeof a === "number" && typeof b === "number") return a - b;
  const difference = new Map(parse(a));
  for (const [monomial, c] of parse(b)) accumulate(difference, monomial, -c);
  return format(difference);
}

export function multiplyDims(...dims: readonly Dim[]): Dim {
  if (dims.every((d) => typeof d === "number")) return dims.reduce<number>((p, d) => p * (d as number), 1);
  let product: Polynomial = new Map([["", 1]]);
  for (const dim of dims) {
    const next: Polynomial = new Map();
    for (const [m, c] of product)
      for (const [n, e] of parse(dim)) {
        const names = [...(m ? m.split("*") : []), ...(n ? n.split("*") : [])].sort();
        accumulate(next, names.join("*"), c * e);
      }
    product = next;
  }
  return format(product);
}

/** The exact quotient of a dimension and a single term, or undefined when it does not divide. */
export function divideDims(a: Dim, b: Dim): Dim | undefined {
  if (typeof a === "number" && typeof b === "number") return b !== 0 && a % b === 0 ? a / b : undefined;
  if (a === b) return 1;
  const divisor = parse(b);
  const [entry, ...more] = divisor;
  if (!entry || more.length > 0) return undefined;
  const [monomial, coefficient] = entry;
  const quotient: Polynomial = new Map();
  for (const [m, c] of parse(a)) {
    const names = m ? m.split("*") : [];
    for (const factor of monomial ? monomial.split("*") : []) {
      const at = names.indexOf(factor);
      if (at < 0) return undefined;
      names.splice(at, 1);
    }
    if (c % coefficient !== 0) return undefined;
    accumulate(quotient, names.join("*"), c / coefficient);
  }
  return format(quotient);
}

/** The value of a dimension when its names are bound; throws when a name is not. */
export function evaluateDim(dim: Dim, bindings: Readonly<Record<string, number>>): number {
  if (typeof dim === "number") return dim;
  let total = 0;
  for (const [monomial, coefficient] of parse(dim)) {
    let term = coefficient;
    for (const factor of monomial ? monomial.split("*") : []) {
      const value = bindings[factor];
      if (value === undefined) throw new ShapeError(`dimension ${dim}: the name ${factor} has no value`);
      term *= value;
    }
    total += term;
  }
  return total;
}

/** The terms of a dimension as coefficients and lists of names, for code that computes it at run time. */
export function termsOf(dim: Dim): { coefficient: number; names: string[] }[] {
  return [...parse(dim)].map(([m, coefficient]) => ({ coefficient, names: m ? m.split("*") : [] }));
}

export const isName = (dim: Dim): dim is string => typeof dim === "string" && name.test(dim);

export const showShape = (shape: Shape): string => `[${shape.join(", ")}]`;

export const sameShape = (a: Shape, b: Shape): boolean =>
  a.length === b.length && a.every((dim, i) => dim === b[i]);

export const sizeOfShape = (shape: Shape): Dim => multiplyDims(...shape);

/** NumPy broadcasting: trailing axes are aligned, 1 stretches; undefined when the shapes do not fit. */
export function broadcastShapes(a: Shape, b: Shape): Shape | undefined {
  const rank = Math.max(a.length, b.length);
  const out: Dim[] = [];
  for (let i = 0; i < rank; i++) {
    const x = a[a.length - rank + i] ?? 1;
    const y = b[b.length - rank + i] ?? 1;
    if (x !== y && x !== 1 && y !== 1) return undefined;
    out.push(x === 1 ? y : x);
  }
  return out;
}
