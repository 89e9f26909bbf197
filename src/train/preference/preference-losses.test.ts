import { describe, expect, it } from "vitest";
import {
  compile,
  grad,
  type HostArray,
  hostArray,
  reshape,
  sub,
  sum,
  type Tensor,
} from "../../graph/index.ts";
import { createEngine } from "../../graph/node.ts";
import { describeOps, real } from "../../graph/ops/check.fixture.ts";
import { together } from "../../graph/ops/reference.fixture.ts";
import { type PreferenceLossName, type PreferenceTerms, preferenceLosses } from "./preference-losses.ts";

/** The terms of a policy that has these log-ratios, against a reference that says 0. */
function termsOf(
  chosen: Tensor,
  rejected: Tensor,
  options: Pick<PreferenceTerms, "beta" | "labelSmoothing">,
): PreferenceTerms {
  const logps = { chosen, rejected };
  const referenceLogps = { chosen: sub(chosen, chosen), rejected: sub(rejected, rejected) };
  const margin = sub(chosen, rejected);
  return { chosen, rejected, margin, logps, referenceLogps, lengths: referenceLogps, ...options };
}

const softplus = (x: number) => Math.log1p(Math.exp(x));
/** In plain numbers, from the log-ratios of one pair. */
const plain: Record<PreferenceLossName, (c: number, r: number, beta: number, e: number) => number> = {
  sigmoid: (c, r, beta, e) => (1 - e) * softplus(-beta * (c - r)) + e * softplus(beta * (c - r)),
};

const settings = [
  { beta: 0.5, labelSmoothing: 0 },
  { beta: 2, labelSmoothing: 0.2 },
];
describeOps(
  "preference losses",
  (Object.keys(plain) as PreferenceLossName[]).flatMap((name) =>
    settings.map((options) => ({
      name: `${name}, beta ${options.beta}, label smoothing ${options.labelSmoothing}`,
      inputs: [real(["B"]), real(["B"])],
      fn: (chosen: Tensor, rejected: Tensor) => preferenceLosses[name](termsOf(chosen, rejected, options)),
      reference: together((c, r) => plain[name](c, r, options.beta, options.labelSmoothing)),
    })),
  ),
);

describe("the sigmoid loss", () => {
  const ratios = async (margins: readonly number[], options: { beta: number; labelSmoothing: number }) => {
    const engine = await createEngine({ threads: 1 });
    const loss = ({ chosen }: { readonly [key: string]: unknown }) =>
      preferenceLosses.sigmoid(termsOf(chosen as Tensor, sub(chosen as Tensor, chosen as Tensor), options));
    const program = await engine.load(
      compile(
        (p) => ({ loss: loss(p), slope: grad((q) => sum(reshape(loss(q), [-1])))(p).chosen as Tensor }),
        [{ chosen: { dtype: "float32", shape: ["B"] } }] as const,
      ),
    );
    const out = await engine.run(program, [{ chosen: hostArray("float32", [margins.length], margins) }]);
    await engine.dispose();
    return [out.loss, out.slope].map((x) => [...((x as HostArray).data as Float32Array)]) as [
      number[],
      number[],
    ];
  };

  it("is log 2 where policy and reference agree, and at beta 0.1 and margin 20 log(1 + e^-2)", async () => {
    const [loss, slope] = await ratios([0, 20], { beta: 0.1, labelSmoothing: 0 });
    expect(loss[0]).toBeCloseTo(Math.LN2, 6);
    expect(loss[1]).toBeCloseTo(0.126928, 6);
    expect(slope[0]).toBeCloseTo(-0.05, 6); // - beta sigmoid(0)
    expect(slope[1]).toBeCloseTo(-0.1 / (1 + Math.exp(2)), 6);
  });

  it("falls as the margin grows, and rises where labels are taken to be turned around", async () => {
    const margins = [-3, -1, 0, 1, 3, 9];
    const [loss] = await ratios(margins, { beta: 1, labelSmoothing: 0 });
    for (let i = 1; i < loss.length; i++) expect(loss[i]).toBeLessThan(loss[i - 1] as number);
    const [smooth] = await ratios([3, 9], { beta: 1, labelSmoothing: 0.3 });
    expect(smooth[1]).toBeGreaterThan(smooth[0] as number);
  });

  it("stays finite, and so does its gradient, for margins of 1e4 and more", async () => {
    const margins = [-1e6, -1e4, 1e4, 1e6];
    for (const labelSmoothing of [0, 0.1]) {
      const [loss, slope] = await ratios(margins, { beta: 1, labelSmoothing });
      for (const x of [...loss, ...slope]) expect(Number.isFinite(x)).toBe(true);
    }
    const [loss, slope] = await ratios(margins, { beta: 1, labelSmoothing: 0 });
    expect(loss).toEqual([1e6, 1e4, 0, 0]);
    expect(slope.map((x) => x + 0)).toEqual([-1, -1, 0, 0]);
  });
});
