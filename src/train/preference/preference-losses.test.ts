import { describe, expect, it } from "vitest";
import {
  add,
  compile,
  grad,
  type HostArray,
  hostArray,
  sub,
  sum,
  type Tensor,
  type TensorSpec,
  type Tree,
  zerosLike,
} from "../../graph/index.ts";
import { createEngine } from "../../graph/node.ts";
import { describeOps, real } from "../../graph/ops/check.fixture.ts";
import { together } from "../../graph/ops/reference.fixture.ts";
import { type FDivergence, fDivergenceNames, fDivergences } from "./divergences.ts";
import { type LossChoice, lossDefaults, lossOf } from "./loss-choice.ts";
import {
  differenceLosses,
  type PreferenceLossName,
  type PreferenceTerms,
  preferenceLosses,
  preferenceLossNames,
} from "./preference-losses.ts";

const lengths = [3, 2] as const;

/** The terms of a policy that has these log-ratios, against a reference that says 0; responses of 3 and 2 tokens. */
function termsOf(
  chosen: Tensor,
  rejected: Tensor,
  options: Pick<PreferenceTerms, "beta" | "labelSmoothing">,
): PreferenceTerms {
  const sides = { chosen, rejected };
  const nothing = { chosen: zerosLike(chosen), rejected: zerosLike(rejected) };
  return {
    ...{ chosen, rejected, margin: sub(chosen, rejected), scores: sides, logps: sides, whole: sides },
    referenceLogps: nothing,
    lengths: { chosen: add(nothing.chosen, lengths[0]), rejected: add(nothing.rejected, lengths[1]) },
    discopopTau: 0.5,
    ...options,
  };
}

const softplus = (x: number) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
const sigma = (x: number) => 1 / (1 + Math.exp(-x));
const smooth = (z: number, e: number) => (1 - e) * softplus(-z) + e * softplus(z);
const perToken = (c: number, r: number) => c / lengths[0] - r / lengths[1];

/** In plain numbers, from the log-ratios of one pair; those that look at the whole batch are below. */
const plain: Partial<Record<PreferenceLossName, (c: number, r: number, beta: number, e: number) => number>> =
  {
    sigmoid: (c, r, beta, e) => smooth(beta * (c - r), e),
    sigmoid_norm: (c, r, beta, e) => smooth(beta * perToken(c, r), e),
    hinge: (c, r, beta) => Math.max(0, 1 - beta * (c - r)),
    ipo: (c, r, beta) => (perToken(c, r) - 1 / (2 * beta)) ** 2,
    exo_pair(c, r, beta, e) {
      const p = sigma(beta * (c - r));
      return p * Math.log(p / (1 - e)) + (1 - p) * Math.log((1 - p) / e);
    },
    nca_pair: (c, r, beta) => softplus(-beta * c) + 0.5 * softplus(beta * c) + 0.5 * softplus(beta * r),
    robust: (c, r, beta, e) =>
      ((1 - e) * softplus(-beta * (c - r)) - e * softplus(beta * (c - r))) / (1 - 2 * e),
    bco_pair: (c, r, beta) => softplus(-beta * c) + softplus(beta * r),
    sppo_hard: (c, r, beta) => (c - 0.5 / beta) ** 2 + (r + 0.5 / beta) ** 2,
    apo_zero: (c, r, beta) => 1 - sigma(beta * c) + sigma(beta * r),
    apo_down: (c, r, beta) => sigma(beta * c) + 1 - sigma(beta * (c - r)),
    discopop(c, r, beta) {
      const z = beta * (c - r);
      return softplus(-z) * (1 - sigma(z / 0.5)) + Math.exp(-z) * sigma(z / 0.5);
    },
  };

const settings = [
  { beta: 0.5, labelSmoothing: 0.05 },
  { beta: 2, labelSmoothing: 0.2 },
];
describeOps("preference losses", [
  ...(Object.entries(plain) as [PreferenceLossName, NonNullable<(typeof plain)["sigmoid"]>][]).flatMap(
    ([name, reference]) =>
      settings.map((options) => ({
        name: `${name}, beta ${options.beta}, label smoothing ${options.labelSmoothing}`,
        inputs: [real(["B"]), real(["B"])],
        fn: (chosen: Tensor, rejected: Tensor) => preferenceLosses[name](termsOf(chosen, rejected, options)),
        reference: together((c, r) => reference(c, r, options.beta, options.labelSmoothing)),
      })),
  ),
  ...fDivergenceNames.map((name) => ({
    name: `the score under ${name}`,
    inputs: [real(["B"])],
    fn: (logRatio: Tensor) => fDivergences[name](logRatio, 0.5),
    reference: together((x) => {
      const u = Math.exp(x);
      const slopes = { reverse_kl: x, forward_kl: 1 - 1 / u, js_divergence: Math.log((2 * u) / (1 + u)) };
      return name === "alpha_divergence" ? (u ** -0.5 - 1) / -0.5 : slopes[name];
    }),
  })),
]);

/** Losses of a batch, and the gradients of their sum, from log-ratios. */
async function lossesOf(
  name: PreferenceLossName,
  [chosen, rejected]: readonly [readonly number[], readonly number[]],
  options: { beta: number; labelSmoothing: number },
  divergence: FDivergence = "reverse_kl",
): Promise<Record<"loss" | "chosen" | "rejected", number[]>> {
  const engine = await createEngine({ threads: 1 });
  const loss = ({ chosen, rejected }: Tree<Tensor>) => {
    const terms = termsOf(chosen as Tensor, rejected as Tensor, options);
    const score = (x: Tensor) => fDivergences[divergence](x, 0.5);
    const scores = { chosen: score(terms.chosen), rejected: score(terms.rejected) };
    return preferenceLosses[name]({ ...terms, scores, margin: sub(scores.chosen, scores.rejected) });
  };
  const spec: TensorSpec = { dtype: "float32", shape: ["B"] };
  const sides = { chosen: spec, rejected: spec };
  const program = await engine.load(
    compile((p): Tree<Tensor> => ({ ...grad((q) => sum(loss(q)))(p), loss: loss(p) }), [sides] as const),
  );
  const array = (values: readonly number[]) => hostArray("float32", [values.length], values);
  const out = await engine.run(program, [{ chosen: array(chosen), rejected: array(rejected) }]);
  await engine.dispose();
  return Object.fromEntries(
    Object.entries(out).map(([key, x]) => [key, [...((x as HostArray).data as Float32Array)]]),
  ) as Record<"loss" | "chosen" | "rejected", number[]>;
}

describe("every loss", () => {
  const far = [-1e4, 1e4, 1e4, -1e4, 0];
  const other = [1e4, -1e4, 1e4, -1e4, 0];

  it.each(preferenceLossNames)(
    "is finite for log-ratios of 1e4, and so is its gradient (%s)",
    async (name) => {
      for (const divergence of differenceLosses.includes(name)
        ? fDivergenceNames
        : (["reverse_kl"] as const)) {
        const found = await lossesOf(name, [far, other], { beta: 1, labelSmoothing: 0.1 }, divergence);
        for (const [what, values] of Object.entries(found))
          expect(values.every(Number.isFinite), `${divergence}, ${what}: ${values}`).toBe(true);
      }
    },
  );

  it.each(preferenceLossNames.filter((name) => !["apo_down", "sft"].includes(name)))(
    "raises the chosen response over the rejected one (%s)",
    async (name) => {
      const found = await lossesOf(name, [[0.1], [0.2]], { beta: 1, labelSmoothing: 0.1 });
      expect(found.chosen[0]).toBeLessThan(found.rejected[0] as number);
    },
  );

  it("that sorts holds the i-th smallest of a batch against the i-th smallest", async () => {
    const options = { beta: 1, labelSmoothing: 0 };
    const unpaired = await lossesOf(
      "aot_unpaired",
      [
        [3, 1],
        [0, 2],
      ],
      options,
    );
    expect(unpaired.loss[0]).toBeCloseTo(softplus(-(1 - 0)), 6);
    expect(unpaired.loss[1]).toBeCloseTo(softplus(-(3 - 2)), 6);
    expect(unpaired.chosen).toEqual([-sigma(-1), -sigma(-1)].map((x) => expect.closeTo(x, 6)));
    const paired = await lossesOf(
      "aot",
      [
        [3, 1],
        [0, 2],
      ],
      options,
    );
    expect(paired.loss).toEqual([softplus(1), softplus(-3)].map((x) => expect.closeTo(x, 6)));
  });

  it("sft is minus the log-probability of the chosen responses by all their tokens", async () => {
    const { loss, chosen } = await lossesOf(
      "sft",
      [
        [-3, -6],
        [0, 0],
      ],
      { beta: 1, labelSmoothing: 0 },
    );
    expect(loss).toEqual([1.5, 1.5]);
    expect(chosen).toEqual([-1 / 3, -1 / 3].map((x) => expect.closeTo(x, 6))); // of the sum of both entries
  });
});

describe("the choice of a loss", () => {
  const o = lossDefaults;
  it("scales weights that do not sum to one, and says so", () => {
    const warnings: string[] = [];
    lossOf({ ...o, lossType: ["sigmoid", "sft"], lossWeights: [3, 1] }, (text) => void warnings.push(text));
    expect(warnings).toEqual(["loss_weights: 3, 1 sum to 4, not to 1; 0.75, 0.25 are used"]);
    lossOf({ ...o, lossType: ["sigmoid", "sft"], lossWeights: [0.75, 0.25] }, () => expect.fail());
  });

  it.each([
    [
      { lossType: "ipo", beta: 0 },
      /beta: a number above 0 is required, got 0.*ipo and sppo_hard divide by it/,
    ],
    [{ lossType: "sigmoyd" }, /loss_type: one of sigmoid, .* is required, got sigmoyd/],
    [{ lossType: ["sft", "sft"] }, /every loss once is required, got sft, sft/],
    [{ lossType: ["sft", "ipo"], lossWeights: [1] }, /loss_weights: 2 numbers .* for sft, ipo, got 1$/],
    [{ lossType: ["sft", "ipo"], lossWeights: [2, -1] }, /loss_weights: 2 numbers of at least 0/],
    [{ lossType: "ipo", labelSmoothing: 0.1 }, /label_smoothing: ipo has none; it belongs to sigmoid/],
    [{ lossType: "exo_pair" }, /label_smoothing: exo_pair .* got 0; try 0.001/],
    [{ labelSmoothing: 0.5 }, /label_smoothing: a share from 0 to below 0.5 is required, got 0.5/],
    [{ fDivergenceType: "tv" }, /f_divergence_type: one of reverse_kl, .* is required, got tv/],
    [{ lossType: "aot", fDivergenceType: "forward_kl" }, /f_divergence_type: aot has no form for forward_kl/],
    [{ lossType: "aot", useWeighting: true }, /use_weighting: aot sorts the pairs/],
    [{ ldAlpha: 2 }, /ld_alpha: a share from 0 to 1 is required, got 2/],
    [{ discopopTau: 0 }, /discopop_tau: a number above 0 is required, got 0/],
  ])("refuses %j in one sentence", (change, message) => {
    expect(() => lossOf({ ...o, ...(change as Partial<LossChoice>) })).toThrow(message);
  });
});

describe("the sigmoid loss", () => {
  const ratios = async (margins: readonly number[], options: { beta: number; labelSmoothing: number }) => {
    const found = await lossesOf("sigmoid", [margins, margins.map(() => 0)], options);
    return [found.loss, found.chosen] as const;
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
