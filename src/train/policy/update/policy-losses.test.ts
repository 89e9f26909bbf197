import { expect, it } from "vitest";
import {
  compile,
  type HostArray,
  hostArray,
  sum,
  type Tensor,
  type Tree,
  valueAndGrad,
} from "../../../graph/index.ts";
import { createEngine } from "../../../graph/node.ts";
import {
  clippedPolicyLoss,
  clippedValueLoss,
  isPolicyClipped,
  isValueClipped,
  policyRatio,
} from "./policy-losses.ts";

const spec = (n: number) => ({ dtype: "float32" as const, shape: [n] });
const floats = (values: number[]) => hostArray("float32", [values.length], values);

/** Values and gradient by `x` of a loss of x and given rows. */
async function evaluate(
  loss: (x: Tensor, given: Record<string, Tensor>) => Tensor,
  x: number[],
  given: Record<string, number[]>,
  flags: (x: Tensor, given: Record<string, Tensor>) => Tensor = loss,
) {
  const engine = await createEngine({ threads: 1 });
  const n = x.length;
  const specs = Object.fromEntries(Object.keys(given).map((name) => [name, spec(n)]));
  const program = compile(
    (params, rows) => {
      const named = rows as Record<string, Tensor>;
      const [, gradient] = valueAndGrad((p: Tree<Tensor>) => sum(loss(p.x as Tensor, named)))(params);
      return { values: loss(params.x as Tensor, named), flags: flags(params.x as Tensor, named), gradient };
    },
    [{ x: spec(n) }, specs] as const,
  );
  const arrays = Object.fromEntries(Object.entries(given).map(([name, values]) => [name, floats(values)]));
  const out = await engine.run(await engine.load(program), [{ x: floats(x) }, arrays]);
  await engine.dispose();
  const list = (array: unknown) => Array.from((array as HostArray<"float32">).data);
  return {
    values: list(out.values),
    flags: list(out.flags),
    gradient: list((out.gradient as Tree<HostArray>).x),
  };
}

const close = (got: number[], wanted: number[], digits = 4) => {
  for (const [i, x] of wanted.entries()) expect(got[i], `${i}`).toBeCloseTo(x, digits);
};

const policyTerms = (logProbs: Tensor, { oldLogProbs, advantages }: Record<string, Tensor>) => ({
  logProbs,
  oldLogProbs: oldLogProbs as Tensor,
  advantages: advantages as Tensor,
  cliprange: 0.2,
});

it("the policy loss takes the worse of the plain and the clipped ratio, worked by hand", async () => {
  const old = [-1, -1, -1, -1, -1];
  const ratios = [1, 1.1, 1.5, 1.5, 0.5];
  const advantages = [2, 2, 2, -2, -2];
  const logProbs = ratios.map((r) => -1 + Math.log(r));
  const { values, flags, gradient } = await evaluate(
    (x, given) => clippedPolicyLoss(policyTerms(x, given)),
    logProbs,
    { oldLogProbs: old, advantages },
    (x, given) => isPolicyClipped(policyTerms(x, given)),
  );
  close(values, [-2, -2.2, -2.4, 3, 1.6]);
  close(flags, [0, 0, 1, 0, 1]);
  // Where it is clipped, nothing more is to be gained: no gradient. Else it is -A ratio.
  close(gradient, [-2, -2.2, 0, 3, 0]);
});

it("the ratio is taken against the old policy, and gradients reach the log-probabilities", async () => {
  const { values, gradient } = await evaluate(
    (x, { old }) => policyRatio({ logProbs: x, oldLogProbs: old as Tensor }),
    [-1, -2],
    {
      old: [-1, -2.5],
    },
  );
  close(values, [1, Math.exp(0.5)]);
  close(gradient, [1, Math.exp(0.5)]);
});

const valueTerms = (values: Tensor, { oldValues, returns }: Record<string, Tensor>) => ({
  values,
  oldValues: oldValues as Tensor,
  returns: returns as Tensor,
  cliprangeValue: 0.2,
});

it("the value loss is half the larger of the plain and the clipped squared error, worked by hand", async () => {
  const given = { oldValues: [1, 1, 1], returns: [2, 2, 0] };
  const x = [1.1, 1.5, 1.5];
  const { values, flags, gradient } = await evaluate(
    (v, rows) => clippedValueLoss(valueTerms(v, rows)),
    x,
    given,
    (v, rows) => isValueClipped(valueTerms(v, rows)),
  );
  close(values, [0.405, 0.32, 1.125]);
  close(flags, [0, 1, 0]);
  close(gradient, [-0.9, 0, 1.5]);
});

it("both losses have the gradients of finite differences", async () => {
  const losses = {
    policy: (x: Tensor, given: Record<string, Tensor>) => clippedPolicyLoss(policyTerms(x, given)),
    value: (x: Tensor, given: Record<string, Tensor>) => clippedValueLoss(valueTerms(x, given)),
  };
  const given = {
    policy: { oldLogProbs: [-1, -2, -0.3, -1.4], advantages: [0.5, -1.5, 2, -0.7] },
    value: { oldValues: [0.3, -0.2, 1, 0], returns: [0.8, -1, 0.7, 0.4] },
  };
  const x = { policy: [-0.95, -2.1, -0.9, -0.6], value: [0.35, -0.5, 0.85, 0.9] };
  const h = 1e-2;
  for (const name of ["policy", "value"] as const) {
    const { gradient } = await evaluate(losses[name], x[name], given[name]);
    const [up, down] = [
      await evaluate(
        losses[name],
        x[name].map((v) => v + h),
        given[name],
      ),
      await evaluate(
        losses[name],
        x[name].map((v) => v - h),
        given[name],
      ),
    ];
    close(
      gradient,
      x[name].map((_, i) => ((up.values[i] as number) - (down.values[i] as number)) / (2 * h)),
      3,
    );
  }
});
