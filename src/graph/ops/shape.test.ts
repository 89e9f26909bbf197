import { type Dim, multiplyDims } from "../dims.ts";
import type { Tensor } from "../tensor.ts";
import { describeOps, type OpCase, real } from "./check.fixture.ts";
import * as op from "./index.ts";
import { at, build, each, type Nd, type Reference } from "./reference.fixture.ts";

const renamed =
  (shape: number[]): Reference =>
  (...[x]) => ({ shape, data: (x as Nd).data });

const picked =
  (shape: readonly number[], from: (index: number[]) => number[]): Reference =>
  (...[x]) =>
    build(shape, (index) => at(x as Nd, from(index)));

const moving: OpCase[] = [
  {
    name: "reshape with -1",
    inputs: [real(["B", "T", 4])],
    fn: (x) => op.reshape(x, [-1, 4]),
    reference: renamed([6, 4]),
  },
  {
    name: "reshape to a product",
    inputs: [real(["B", "T", 4])],
    fn: (x) => op.reshape(x, [2, multiplyDims(...x.shape.slice(0, 2)), 2]),
    reference: renamed([2, 6, 2]),
  },
  {
    name: "expandDims",
    inputs: [real(["B", "T"])],
    fn: (x) => op.expandDims(x, -1),
    reference: renamed([2, 3, 1]),
  },
  { name: "squeeze", inputs: [real(["B", 1, "T"])], fn: (x) => op.squeeze(x, 1), reference: renamed([2, 3]) },
  {
    name: "transpose",
    inputs: [real(["B", "T", 4])],
    fn: (x) => op.transpose(x),
    reference: picked([2, 4, 3], ([i, j, k]) => [i, k, j] as number[]),
  },
  {
    name: "transpose in an order",
    inputs: [real(["B", "T", 4])],
    fn: (x) => op.transpose(x, [2, 0, 1]),
    reference: picked([4, 2, 3], ([i, j, k]) => [j, k, i] as number[]),
  },
  {
    name: "expand",
    inputs: [real(["T", 1]), real(["B", "T", 4])],
    fn: (x, like) => op.expand(x, like.shape),
    reference: picked([2, 3, 4], ([, t]) => [t as number, 0]),
  },
  {
    name: "slice",
    inputs: [real(["B", 5])],
    fn: (x) => op.slice(x, 1, 1, 4),
    reference: picked([2, 3], ([i, j]) => [i as number, (j as number) + 1]),
  },
  {
    name: "slice of a named axis",
    inputs: [real(["B", "T"])],
    fn: (x) => op.slice(x, 1, 1, x.shape[1] as Dim),
    reference: picked([2, 2], ([i, j]) => [i as number, (j as number) + 1]),
  },
  {
    name: "split",
    inputs: [real(["B", 5])],
    fn: (x) => op.split(x, [2, 3], -1),
    reference: (...xs) =>
      [
        picked([2, 2], (i) => i)(...xs),
        picked([2, 3], ([i, j]) => [i as number, (j as number) + 2])(...xs),
      ] as Nd[],
  },
  {
    name: "split with one part unused",
    inputs: [real(["B", 5])],
    fn: (x) => op.split(x, [2, 3], -1)[1] as Tensor,
    reference: picked([2, 3], ([i, j]) => [i as number, (j as number) + 2]),
  },
  {
    name: "concat",
    inputs: [real(["B", 2]), real(["B", 3])],
    fn: (a, b) => op.concat([a, b, a], 1),
    reference: (...[a, b]) =>
      build([2, 7], ([i, j]) =>
        (j as number) < 2
          ? at(a as Nd, [i, j] as number[])
          : (j as number) < 5
            ? at(b as Nd, [i as number, (j as number) - 2])
            : at(a as Nd, [i as number, (j as number) - 5]),
      ),
  },
  {
    name: "concat of a named axis",
    inputs: [real(["B", "T"]), real([1, "T"])],
    fn: (a, b) => op.concat([a, b], 0),
    reference: (...[a, b]) =>
      build([3, 3], ([i, j]) =>
        (i as number) < 2 ? at(a as Nd, [i, j] as number[]) : at(b as Nd, [0, j as number]),
      ),
  },
  {
    name: "pad",
    inputs: [real(["B", "T"])],
    fn: (x) => op.pad(x, 1, 1, 2, 7),
    reference: (...[x]) =>
      build([2, 6], ([i, j]) =>
        (j as number) < 1 || (j as number) > 3 ? 7 : at(x as Nd, [i as number, (j as number) - 1]),
      ),
  },
  {
    name: "arange and dimValue",
    inputs: [real(["B", "T"])],
    fn: (x) => [
      op.arange(x.shape[1] as Dim),
      op.dimValue(x.shape[0] as Dim, "int64"),
      op.mul(x, op.dimValue(x.shape[1] as Dim, x.dtype)),
    ],
    reference: (...[x]) => [
      build([3], ([i]) => i as number),
      build([], () => 2),
      each((v) => 3 * v)(x as Nd) as Nd,
    ],
  },
  {
    name: "zerosLike and onesLike",
    inputs: [real(["B", "T"])],
    fn: (x) => op.add(op.mul(x, op.zerosLike(x)), op.onesLike(x)),
    reference: each((x) => x * 0 + 1),
  },
];

describeOps("moving elements", moving);
