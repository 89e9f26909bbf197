import type { Tensor } from "../tensor.ts";
import { describeOps, distinct, type OpCase, real } from "./check.fixture.ts";
import * as op from "./index.ts";
import { at, build, type Nd, over, type Reference, rowwise, total } from "./reference.fixture.ts";

const average = (xs: readonly number[]) => total(xs) / xs.length;

const spread = (xs: readonly number[]) => average(xs.map((x) => (x - average(xs)) ** 2));

const reductions: OpCase[] = [
  ["sum", op.sum, total],
  ["mean", op.mean, average],
  ["max", op.max, (xs: number[]) => Math.max(...xs)],
  ["min", op.min, (xs: number[]) => Math.min(...xs)],
  ["variance", op.variance, spread],
].flatMap(([name, fn, joined]) => {
  const reduce = fn as typeof op.sum;
  const join = joined as (xs: number[]) => number;
  const inputs = [distinct(["B", "T", 4])];
  return [
    {
      name: `${name} of everything`,
      inputs,
      fn: (x: Tensor) => reduce(x),
      reference: over([0, 1, 2], false, join),
    },
    { name: `${name} of axis 1`, inputs, fn: (x: Tensor) => reduce(x, 1), reference: over([1], false, join) },
    {
      name: `${name} of axes 0 and -1, kept`,
      inputs,
      fn: (x: Tensor) => reduce(x, [0, -1], { keepDims: true }),
      reference: over([0, 2], true, join),
    },
  ];
});

const running =
  (exclusive: boolean, reverse: boolean): Reference =>
  (...[x]) => {
    const length = (x as Nd).shape[1] as number;
    return build((x as Nd).shape, ([b, t, c]) => {
      const before = (s: number) =>
        (reverse ? s > (t as number) : s < (t as number)) || (!exclusive && s === t);
      const places = Array.from({ length }, (_, s) => s).filter(before);
      return total(places.map((s) => at(x as Nd, [b as number, s, c as number])));
    });
  };

const order = (row: readonly number[], descending: boolean) =>
  row.map((_, i) => i).sort((i, j) => ((row[i] as number) - (row[j] as number)) * (descending ? -1 : 1));

const sorted =
  (k: number, descending: boolean): Reference =>
  (...[x]) => [
    rowwise((row) =>
      order(row, descending)
        .slice(0, k)
        .map((i) => row[i] as number),
    )(x as Nd) as Nd,
    rowwise((row) => order(row, descending).slice(0, k))(x as Nd) as Nd,
  ];

const both = ({ values, indices }: op.Sorted) => [values, indices];

const ordering: OpCase[] = [
  ...[false, true].flatMap((exclusive) =>
    [false, true].map((reverse) => ({
      name: `cumsum${exclusive ? " exclusive" : ""}${reverse ? " reverse" : ""}`,
      inputs: [real(["B", "T", 2])],
      fn: (x: Tensor) => op.cumsum(x, 1, { exclusive, reverse }),
      reference: running(exclusive, reverse),
    })),
  ),
  {
    name: "argmax",
    gradient: "none",
    inputs: [distinct(["B", "T", 4])],
    fn: (x) => op.argmax(x),
    reference: over([2], false, (xs) => xs.indexOf(Math.max(...xs))),
  },
  {
    name: "argmax of axis 0, kept",
    gradient: "none",
    inputs: [distinct(["T", 4])],
    fn: (x) => op.argmax(x, 0, { keepDims: true }),
    reference: over([0], true, (xs) => xs.indexOf(Math.max(...xs))),
  },
  { name: "topK", inputs: [distinct(["B", 5])], fn: (x) => both(op.topK(x, 2)), reference: sorted(2, true) },
  {
    name: "topK of the smallest",
    inputs: [distinct(["B", 5])],
    fn: (x) => both(op.topK(x, 3, { largest: false })),
    reference: sorted(3, false),
  },
  {
    name: "sort of a named axis",
    inputs: [distinct([4, "T"])],
    fn: (x) => both(op.sort(x)),
    reference: sorted(3, false),
  },
  {
    name: "sort descending",
    inputs: [distinct(["B", 5])],
    fn: (x) => both(op.sort(x, { descending: true })),
    reference: sorted(5, true),
  },
  {
    name: "logSumExp",
    inputs: [real(["B", "T", 4])],
    fn: op.logSumExp,
    reference: over([2], true, (xs) => Math.log(total(xs.map(Math.exp)))),
  },
  {
    name: "norm",
    inputs: [real(["B", "T"])],
    fn: op.norm,
    reference: over([0, 1], false, (xs) => Math.sqrt(total(xs.map((x) => x * x)))),
  },
];

describeOps("reductions", reductions);
describeOps("running and sorted", ordering);
