import type { Dim } from "../dims.ts";
import { describeOps, type OpCase, real } from "./check.fixture.ts";
import * as op from "./index.ts";
import { at, build, type Nd, type Reference, together, total } from "./reference.fixture.ts";

const matmulReference =
  (ta: boolean, tb: boolean, alpha: number): Reference =>
  (...[a, b]) => {
    const read = (x: Nd, flag: boolean, lead: number[], i: number, j: number) =>
      at(x, [...lead, ...(flag ? [j, i] : [i, j])]);
    const [m, k] = (a as Nd).shape.slice(-2) as [number, number];
    const [l, n] = (b as Nd).shape.slice(-2) as [number, number];
    const one = (together(() => 0) as (a: Nd, b: Nd) => Nd)(
      build((a as Nd).shape.slice(0, -2), () => 0),
      build((b as Nd).shape.slice(0, -2), () => 0),
    );
    return build([...one.shape, ta ? k : m, tb ? l : n], (index) => {
      const [i, j] = index.slice(-2) as [number, number];
      const lead = index.slice(0, -2);
      const inner = Array.from({ length: ta ? m : k }, (_, p) => p);
      return alpha * total(inner.map((p) => read(a as Nd, ta, lead, i, p) * read(b as Nd, tb, lead, p, j)));
    });
  };

const leadings: [Dim[], Dim[]][] = [
  [[], []],
  [["B"], ["B"]],
  [["B"], []],
  [["B", 2], []],
  [[], ["B"]],
  [["B", 1], [2]],
  [
    ["B", 2],
    ["B", 1],
  ],
];

const matmuls: OpCase[] = leadings.flatMap(([la, lb]) =>
  [false, true].flatMap((transposeA) =>
    [false, true].map((transposeB): OpCase => {
      const a = [...la, ...(transposeA ? [4, "T"] : ["T", 4])];
      const b = [...lb, ...(transposeB ? [2, 4] : [4, 2])];
      const alpha = transposeA === transposeB ? 1 : 0.5;
      return {
        name: `matmul [${a}]${transposeA ? "'" : ""} [${b}]${transposeB ? "'" : ""}`,
        inputs: [real(a), real(b)],
        fn: (x, y) => op.matmul(x, y, { transposeA, transposeB, alpha }),
        reference: matmulReference(transposeA, transposeB, alpha),
      };
    }),
  ),
);

describeOps("matmul", matmuls);
