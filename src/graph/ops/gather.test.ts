import { describeOps, list, type OpCase, real } from "./check.fixture.ts";
import * as op from "./index.ts";
import { at, build, type Nd } from "./reference.fixture.ts";

const add = (base: Nd, count: readonly number[], to: (index: number[]) => number[], updates: Nd): Nd => {
  const sums = new Map<string, number>();
  build(count, (index) => {
    const key = to(index).join();
    sums.set(key, (sums.get(key) ?? 0) + at(updates, index));
    return 0;
  });
  return build(base.shape, (index) => at(base, index) + (sums.get(index.join()) ?? 0));
};

const indexing: OpCase[] = [
  {
    name: "gather of rows",
    inputs: [real([4, "T"]), list(["B", 2], [3, 1, 1, 0])],
    fn: (x, i) => op.gather(x, i),
    reference: (...[x, i]) =>
      build([2, 2, 3], ([a, b, c]) => at(x as Nd, [at(i as Nd, [a, b] as number[]), c as number])),
  },
  {
    name: "gather of axis 1",
    inputs: [real(["B", 4, 2]), list(["T"], [2, 2, 0])],
    fn: (x, i) => op.gather(x, i, 1),
    reference: (...[x, i]) =>
      build([2, 3, 2], ([a, b, c]) => at(x as Nd, [a as number, at(i as Nd, [b as number]), c as number])),
  },
  {
    name: "regroup of rows, one of which none reads",
    inputs: [real([4, "B"]), list(["T"], [3, 0, 1]), list([4], [1, 2, 3, 0])],
    fn: (x, i, inverse) => op.regroup(x, i, inverse),
    reference: (...[x, i]) =>
      build([3, (x as Nd).shape[1] as number], ([a, b]) =>
        at(x as Nd, [at(i as Nd, [a as number]), b as number]),
      ),
  },
  {
    name: "regroup of all rows",
    inputs: [real([4, 2]), list(["B", 2], [3, 0, 2, 1]), list([4], [1, 3, 2, 0])],
    fn: (x, i, inverse) => op.regroup(x, i, inverse, { onto: true }),
    reference: (...[x, i]) =>
      build([2, 2, 2], ([a, b, c]) => at(x as Nd, [at(i as Nd, [a, b] as number[]), c as number])),
  },
  {
    name: "gatherAlong with repeats",
    inputs: [real(["B", 4]), list(["B", "T"], [3, 3, 0, 1, 2, 1])],
    fn: (x, i) => op.gatherAlong(x, i),
    reference: (...[x, i]) =>
      build([2, 3], ([a, b]) => at(x as Nd, [a as number, at(i as Nd, [a, b] as number[])])),
  },
  {
    name: "gatherAlong of axis 0",
    inputs: [real([4, "T"]), list(["B", "T"], [3, 3, 0, 1, 2, 1])],
    fn: (x, i) => op.gatherAlong(x, i, 0),
    reference: (...[x, i]) =>
      build([2, 3], ([a, b]) => at(x as Nd, [at(i as Nd, [a, b] as number[]), b as number])),
  },
  {
    name: "scatterAddAlong with repeats",
    inputs: [real(["B", 4]), list(["B", "T"], [3, 3, 0, 1, 1, 1]), real(["B", "T"])],
    fn: (x, i, u) => op.scatterAddAlong(x, i, u),
    reference: (...[x, i, u]) =>
      add(x as Nd, [2, 3], ([a, b]) => [a as number, at(i as Nd, [a, b] as number[])], u as Nd),
  },
  {
    name: "scatterAddRows with repeats",
    inputs: [real([4, 2]), list(["T"], [2, 0, 2]), real(["T", 2])],
    fn: op.scatterAddRows,
    reference: (...[x, i, u]) =>
      add(x as Nd, [3, 2], ([a, b]) => [at(i as Nd, [a as number]), b as number], u as Nd),
  },
];

describeOps("reading by index", indexing);
