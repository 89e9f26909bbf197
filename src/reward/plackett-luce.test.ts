import { describe, expect, it } from "vitest";
import { compile, constant, type HostArray, hostArray, type Tensor } from "../graph/index.ts";
import { createEngine } from "../graph/node.ts";
import { describeOps, real } from "../graph/ops/check.fixture.ts";
import { plackettLuceLosses } from "./plackett-luce.ts";

/** In plain numbers, of one list. */
function plain(scores: readonly number[], ranks: readonly number[]): number {
  let loss = 0;
  for (const [i, rank] of ranks.entries()) {
    if (rank < 0) continue;
    const rest = ranks.flatMap((other, j) => (other >= rank ? [Math.exp(scores[j] as number)] : []));
    loss += Math.log(rest.reduce((a, b) => a + b, 0)) - (scores[i] as number);
  }
  return loss;
}

const ranks = [
  [2, 1, 3],
  [1, 1, -1],
];
describeOps("the likelihood of rankings", [
  {
    name: "of three, and of two that tie beside an empty place",
    inputs: [real([2, 3])],
    fn: (scores: Tensor) =>
      plackettLuceLosses(scores, constant(hostArray(scores.dtype, [2, 3], ranks.flat()))),
    reference: ({ data }) => ({
      shape: [2],
      data: Float64Array.from(ranks, (row, b) => plain([...data].slice(3 * b, 3 * b + 3), row)),
    }),
  },
]);

describe("Plackett-Luce", () => {
  it("of two is Bradley-Terry, of equal scores -log 1/n!, and finite for scores of 1e4", async () => {
    const engine = await createEngine({ threads: 1 });
    const program = await engine.load(
      compile((p) => ({ loss: plackettLuceLosses(p.scores as Tensor, p.ranks as Tensor) }), [
        { scores: { dtype: "float32", shape: ["B", "K"] }, ranks: { dtype: "float32", shape: ["B", "K"] } },
      ] as const),
    );
    const losses = async (scores: number[][], ranks: number[][]) => {
      const array = (x: number[][]) => hostArray("float32", [x.length, (x[0] as number[]).length], x.flat());
      const { loss } = await engine.run(program, [{ scores: array(scores), ranks: array(ranks) }]);
      return [...((loss as HostArray).data as Float32Array)];
    };
    const [pair] = await losses([[0.3, 1.5]], [[1, 2]]);
    expect(pair).toBeCloseTo(Math.log1p(Math.exp(1.2)), 6);
    const [equal] = await losses([[2, 2, 2, 2]], [[4, 2, 1, 3]]);
    expect(equal).toBeCloseTo(Math.log(24), 5);
    const [far, wrong] = await losses(
      [
        [1e4, 0, -1e4],
        [-1e4, 0, 1e4],
      ],
      [
        [1, 2, 3],
        [1, 2, 3],
      ],
    );
    expect(far).toBeCloseTo(0, 6);
    expect(wrong).toBeCloseTo(3e4, 0);
    await engine.dispose();
  });
});
