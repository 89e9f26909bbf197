/** Nash-MD and online DPO beside TRL 1.12: losses, figures and gradient norms on given responses (test/parity/online.py). */
import { readFileSync } from "node:fs";
import { afterAll, describe, expect, it } from "vitest";
import { createTokenPass, logProbsFigure } from "../../evaluate/token-pass.ts";
import { hostArray, unflatten } from "../../graph/index.ts";
import { createEngine } from "../../graph/node.ts";
import { loadModel, type Model, withParameters } from "../../models/load.ts";
import { parameterSpecs } from "../../models/model.ts";
import { sgd } from "../../optim/index.ts";
import type { Loss } from "../loop/step.ts";
import { createStepper } from "../loop/stepper.ts";
import { nashWeights } from "../nash-md.ts";
import { onlineDpoLosses } from "../online-dpo.ts";
import { dpoLoss } from "../preference/dpo-loss.ts";
import { collateRuns, dpoSpec } from "../preference/preference-batch.ts";

import { weightedBatch, weightedLoss, weightedSpec } from "./weighted-tokens.ts";

type Figures = Readonly<Record<string, number>>;
const { rows, beta, scale, probabilities, rewards, cases } = JSON.parse(
  readFileSync("test/parity/golden/online.json", "utf8"),
) as {
  rows: Record<"prompt" | "first" | "second", number[]>[];
  beta: number;
  scale: number;
  probabilities: number[];
  rewards: number[];
  cases: Record<string, Figures>;
};

const engine = await createEngine({ threads: 1 });
afterAll(() => engine.dispose());

const scaled = (model: Model): Model =>
  withParameters(
    model,
    Object.fromEntries(
      Object.entries(model.parameters).map(([name, { shape, data }]) => [
        name,
        hostArray(
          "float32",
          shape,
          Float32Array.from(data as Float32Array, (x) => x * scale),
        ),
      ]),
    ),
  );

/** log p of each token of the responses. */
async function logProbsOf({ config, parameters }: Model, key: "first" | "second"): Promise<Float64Array[]> {
  const pass = await createTokenPass(
    engine,
    logProbsFigure(config, (w) => w),
    {
      weights: parameterSpecs(config),
      batchSize: 2,
    },
  );
  const found = await pass.run(
    unflatten(parameters),
    rows.map((row) => ({ promptIds: row.prompt, ids: row[key] })),
    1,
  );
  await pass.dispose();
  return found;
}

async function stepOf(model: Model, loss: Loss, batch: object, batchSpec: object): Promise<Figures> {
  const stepper = await createStepper({
    engine,
    loss,
    optimizer: sgd({}),
    parameters: unflatten(model.parameters),
    batch: batchSpec as never,
    accumulate: false,
    packs: false,
  });
  const figures = await stepper.step([batch as never], rows.length, 0);
  await stepper.free();
  return figures;
}

const expectAlike = (ours: Figures, theirs: Figures) => {
  for (const [name, want] of Object.entries(theirs))
    expect(Math.abs((ours[name] as number) - want), `${name}: ${ours[name]}, TRL ${want}`).toBeLessThan(
      1e-4 * Math.max(1, Math.abs(want)),
    );
};

const sum = (values: ArrayLike<number>) => Array.from(values).reduce((a, b) => a + b, 0);

describe.each(["llama", "gpt2"])("%s", (name) => {
  it("Nash-MD with TRL's gradient of the KL", async () => {
    const reference = await loadModel(`test/parity/golden/models/${name}`);
    const policy = scaled(reference);
    const [own, ref] = [await logProbsOf(policy, "first"), await logProbsOf(reference, "first")];
    const weights = own.map((logProbs, i) =>
      nashWeights(logProbs, ref[i] as Float64Array, probabilities[i] as number, {
        beta,
        klGradient: "token",
      }),
    );
    const batch = weightedBatch(
      rows.map(({ prompt, first }) => ({ promptIds: prompt, ids: first })),
      weights,
      1,
    );
    const figures = await stepOf(policy, weightedLoss(policy.config), batch, weightedSpec);
    const mean = (of: (i: number) => number) => sum(rows.map((_, i) => of(i))) / rows.length;
    expectAlike(
      {
        ...figures,
        "loss/score": mean((i) => ((probabilities[i] as number) - 0.5) * sum(own[i] as Float64Array)),
        "loss/kl": mean((i) => sum(own[i] as Float64Array) - sum(ref[i] as Float64Array)),
      },
      cases[`${name}/nash_md`] as Figures,
    );
  });

  it.each(["sigmoid", "ipo"] as const)("online DPO (%s)", async (lossType) => {
    const reference = await loadModel(`test/parity/golden/models/${name}`);
    const policy = scaled(reference);
    const sides = {
      first: await logProbsOf(reference, "first"),
      second: await logProbsOf(reference, "second"),
    };
    const chosen = rows.map((_, i) =>
      (rewards[i] as number) >= (rewards[i + rows.length] as number) ? "first" : "second",
    );
    const both = (i: number) =>
      [chosen[i], chosen[i] === "first" ? "second" : "first"] as ("first" | "second")[];
    const batch = {
      ...collateRuns(
        rows.map((row, i) => ({
          prompt: Int32Array.from(row.prompt),
          responses: both(i).map((side) => Int32Array.from(row[side])),
        })),
      ),
      reference: hostArray(
        "float32",
        [rows.length, 2],
        rows.flatMap((_, i) => both(i).map((side) => sum(sides[side][i] as Float64Array))),
      ),
    };
    const loss = dpoLoss(policy.config, { loss: onlineDpoLosses[lossType], beta });
    expectAlike(
      await stepOf(policy, loss, batch, dpoSpec()),
      cases[`${name}/online_dpo/${lossType}`] as Figures,
    );
  });
});
