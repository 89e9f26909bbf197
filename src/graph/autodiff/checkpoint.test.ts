import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import * as ort from "onnxruntime-node";
import { describe, expect, it } from "vitest";
import { type HostArray, hostArray } from "../array.ts";
import { compile } from "../compile.ts";
import { LocalEngine } from "../engine/engine.ts";
import { add, matmul, mean, mul, square, sum, tanh } from "../ops/index.ts";
import type { Tensor } from "../tensor.ts";
import { checkpoint } from "./checkpoint.ts";
import { countRun } from "./count.fixture.ts";
import { gradientOf } from "./grad.ts";

const layers = 4;
const names = Array.from({ length: layers }, (_, i) => `w${i}`);
type Wrap = (fn: (h: Tensor) => Tensor) => (h: Tensor) => Tensor;
const plain: Wrap = (fn) => fn;

/** A chain of tanh(h W), each layer or the pairs of them wrapped; first and second gradients. */
const chain = (wrap: Wrap, group: number, second = false) =>
  compile(
    (t) => {
      let h = t.x as Tensor;
      for (let i = 0; i < layers; i += group)
        h = wrap((y) => names.slice(i, i + group).reduce((z, w) => tanh(matmul(z, t[w] as Tensor)), y))(h);
      const weights = names.map((w) => t[w] as Tensor);
      const loss = mean(square(h));
      let gradients = gradientOf(loss, weights);
      if (second)
        gradients = gradientOf(
          gradients.map((g) => sum(square(g))).reduce((a, b) => add(a, b)),
          weights,
        );
      return { loss, ...Object.fromEntries(gradients.map((g, i) => [`g${i}`, g])) };
    },
    [
      {
        x: { dtype: "float32", shape: ["B", 8] },
        ...Object.fromEntries(names.map((w) => [w, { dtype: "float32", shape: [8, 8] }])),
      },
    ],
  );

const pseudo = (seed: number, n: number) =>
  Array.from({ length: n }, (_, i) => Math.sin(seed * 12.9 + i * 78.2));
const args = [
  {
    x: hostArray("float32", [3, 8], pseudo(1, 24)),
    ...Object.fromEntries(
      names.map((w, i) => [
        w,
        hostArray(
          "float32",
          [8, 8],
          pseudo(i + 2, 64).map((v) => v / 2),
        ),
      ]),
    ),
  },
];

/** The results, and how many matrix products the runtime carried out. */
async function run(
  wrap: Wrap,
  group: number,
  second = false,
): Promise<{ results: Record<string, number[]>; products: number }> {
  const folder = mkdtempSync(join(tmpdir(), "attune-profile-"));
  try {
    const engine = new LocalEngine(ort, { threads: 1, profile: join(folder, "p") });
    const out = await engine.run(await engine.load(chain(wrap, group, second)), args);
    await engine.dispose();
    const { MatMul = 0, FusedMatMul = 0, Gemm = 0 } = countRun(join(folder, "p"));
    const results = Object.fromEntries(
      Object.entries(out).map(([k, v]) => [k, [...(v as HostArray).data].map(Number)]),
    );
    return { results, products: MatMul + FusedMatMul + Gemm };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe("checkpoint", () => {
  it.each([1, 2, 4])(
    "computes the inner values again and changes no gradient (%s layers a block)",
    async (group) => {
      const kept = await run(plain, group);
      const recomputed = await run(checkpoint, group);
      // Forward: one product a layer. Backward: two, but for the first layer, whose input needs no gradient.
      expect(kept.products).toBe(3 * layers - 1);
      expect(recomputed.products).toBe(4 * layers - 1);
      expect(recomputed.results).toEqual(kept.results);
    },
  );

  it("may be nested", async () => {
    const nested: Wrap = (fn) => checkpoint((h) => checkpoint(fn)(h));
    expect((await run(nested, 2)).results).toEqual((await run(plain, 2)).results);
  });

  it("keeps the gradient of the gradient", async () => {
    const [kept, recomputed] = [await run(plain, 2, true), await run(checkpoint, 2, true)];
    for (const [name, values] of Object.entries(kept.results))
      for (const [i, v] of values.entries()) expect(recomputed.results[name]?.[i]).toBeCloseTo(v, 5);
  });

  it("lets a gradient that is not finite through", async () => {
    const program = compile(
      ({ x }) => {
        const y = checkpoint((h) => mul(tanh(h), 2))(x as Tensor);
        return { g: gradientOf(sum(mul(y, Number.NaN)), [x as Tensor])[0] as Tensor };
      },
      [{ x: { dtype: "float32", shape: [2] } }],
    );
    const engine = new LocalEngine(ort, { threads: 1 });
    const { g } = await engine.run(await engine.load(program), [{ x: hostArray("float32", [2], [1, 2]) }]);
    await engine.dispose();
    expect([...(g as HostArray).data]).toEqual([Number.NaN, Number.NaN]);
  });

  it("saves memory: a chain of 64 layers peaks 150 MB lower", () => {
    const at = (path: string) => fileURLToPath(new URL(path, import.meta.url));
    const peak = (mode: string) => {
      const child = spawnSync(
        process.execPath,
        ["--import", at("../../../scripts/register-ts.js"), at("./checkpoint.fixture.ts"), mode],
        {
          encoding: "utf8",
        },
      );
      expect(child.stderr).toBe("");
      return Number(child.stdout) / 1024;
    };
    const [kept, recomputed] = [peak("plain"), peak("checkpointed")];
    // Values of 4 MB: 64 are kept, or 8 and the 8 of the block that is being differentiated.
    expect(kept - recomputed, `${kept} MB and ${recomputed} MB`).toBeGreaterThan(150);
  });
});
