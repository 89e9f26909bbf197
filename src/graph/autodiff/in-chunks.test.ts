import * as ort from "onnxruntime-node";
import { afterAll, describe, expect, it } from "vitest";
import { type HostArray, hostArray } from "../array.ts";
import { compile } from "../compile.ts";
import { LocalEngine } from "../engine/engine.ts";
import { gather, matmul, mul, square, sum, tanh, tokenLogProbs } from "../ops/index.ts";
import { scan } from "../scan.ts";
import type { Tensor } from "../tensor.ts";
import { gradientOf } from "./grad.ts";
import { inChunks } from "./in-chunks.ts";

const engine = new LocalEngine(ort, { threads: 1 });
afterAll(() => engine.dispose());

const pseudo = (seed: number, n: number) =>
  Array.from({ length: n }, (_, i) => Math.sin(seed * 12.9 + i * 78.2));
const [count, width, vocab] = [10, 4, 6];
const args = {
  h: hostArray("float32", [count, width], pseudo(1, count * width)),
  w: hostArray("float32", [vocab, width], pseudo(2, vocab * width)),
  ids: hostArray(
    "int64",
    [count],
    Array.from({ length: count }, (_, i) => (i * 5) % vocab),
  ),
};
const specs = {
  h: { dtype: "float32", shape: ["N", width] },
  w: { dtype: "float32", shape: [vocab, width] },
  ids: { dtype: "int64", shape: ["N"] },
} as const;

/** Log-probabilities and squares of rows, whole or in chunks, and the gradients of a sum over both. */
async function figures(size: number | undefined, frozen = false) {
  const program = compile(
    (t) => {
      const [h, w, ids] = [t.h, t.w, t.ids] as [Tensor, Tensor, Tensor];
      const of = ({ h, ids }: { h: Tensor; ids: Tensor }, { w }: { w: Tensor }) => {
        const logits = matmul(tanh(h), w, { transposeB: true });
        return { p: tokenLogProbs(logits, ids), q: sum(square(logits), 1) };
      };
      const { p, q } = size === undefined ? of({ h, ids }, { w }) : inChunks(of, { h, ids }, { w }, size);
      const loss = sum(mul(p, q));
      const [dh, dw] = frozen ? [gradientOf(loss, [h])[0], w] : gradientOf(loss, [h, w]);
      return { p, q, dh: dh as Tensor, dw: dw as Tensor };
    },
    [specs],
  );
  const out = await engine.run(await engine.load(program), [args]);
  return Object.fromEntries(Object.entries(out).map(([k, v]) => [k, [...(v as HostArray).data].map(Number)]));
}

describe("inChunks", () => {
  it.each([1, 3, 5, 10, 64])(
    "gives the values and gradients of the whole (%s rows at a time)",
    async (size) => {
      const [whole, chunked] = [await figures(undefined), await figures(size)];
      for (const [name, values] of Object.entries(whole)) {
        expect(chunked[name]?.length, name).toBe(values.length);
        for (const [i, x] of values.entries()) expect(chunked[name]?.[i], `${name} ${i}`).toBeCloseTo(x, 4);
      }
    },
  );

  it("leaves out the gradient of what needs none", async () => {
    expect((await figures(3, true)).dh).toEqual((await figures(3)).dh);
  });

  it("runs inside of a scan, also where the number of rows is that of the iteration", async () => {
    const program = compile(
      (t) => {
        const { carry } = scan(
          ({ total }, { at }: { at: Tensor }) => {
            const rows = { h: gather(t.h as Tensor, at), ids: gather(t.ids as Tensor, at) };
            const { p } = inChunks(
              ({ h, ids }, { w }) => ({
                p: tokenLogProbs(matmul(h as Tensor, w as Tensor, { transposeB: true }), ids as Tensor),
              }),
              rows as Record<string, Tensor>,
              { w: t.w as Tensor },
              2,
            );
            const [dw] = gradientOf(sum(p as Tensor), [t.w as Tensor]);
            return { carry: { total: mul(total as Tensor, 1), w: dw as Tensor } };
          },
          { carry: { total: t.w as Tensor, w: t.w as Tensor }, xs: { at: t.at as Tensor } },
        );
        return { w: carry.w as Tensor };
      },
      [{ ...specs, at: { dtype: "int64", shape: ["K", 5] } }],
    );
    const at = hostArray("int64", [2, 5], [9, 8, 7, 6, 5, 0, 1, 2, 3, 4]);
    const { w } = await engine.run(await engine.load(program), [{ ...args, at }]);
    expect([...(w as HostArray).data].every((x) => Number.isFinite(Number(x)))).toBe(true);
    expect(Math.max(...[...(w as HostArray).data].map((x) => Math.abs(Number(x))))).toBeGreaterThan(0.01);
  });

  it("refuses a chunk of no rows", () => {
    expect(() => inChunks(() => ({}), {}, {}, 0)).toThrow("at least 1 of them a chunk");
  });
});
