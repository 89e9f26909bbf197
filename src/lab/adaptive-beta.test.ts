/** Adaptive beta on a problem that can be enumerated, where the KL that a policy has reached is known exactly. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Engine } from "../graph/index.ts";
import { createEngine } from "../graph/node.ts";
import { dpo } from "../train/dpo.ts";
import type { DpoOptions } from "../train/dpo-options.ts";
import { nextBeta } from "../train/preference/adaptive-beta.ts";
import { type LettersProblem, lettersProblem } from "./letters.ts";
import { logPolicyOf, valueOf } from "./optimum.ts";
import { drawPreferences } from "./preferences.ts";

let engine: Engine;
let problem: LettersProblem;
let data: { prompt: string; chosen: string; rejected: string }[];
beforeAll(async () => {
  engine = await createEngine({ threads: 1 });
  const size = { letters: 3, maxLength: 2, prompts: 2, hiddenSize: 32, numLayers: 1 };
  problem = await lettersProblem(engine, { ...size, seed: 1 });
  const { prompts, responses, reference, text } = problem;
  const of = (rows: readonly (readonly number[])[], i: number) => text(rows[i] as readonly number[]);
  data = drawPreferences(problem, reference, { n: 2048 }).map(({ prompt, chosen, rejected }) => ({
    prompt: of(prompts, prompt),
    chosen: of(responses, chosen),
    rejected: of(responses, rejected),
  }));
});
afterAll(() => engine.dispose());

/** The KL reached, and what was said on the way. */
async function reached(
  options: Partial<DpoOptions>,
): Promise<{ kl: number; betas: number[]; warnings: string[] }> {
  const { model, prompts, maxLength, reference } = problem;
  const betas: number[] = [];
  const warnings: string[] = [];
  const trained = await dpo(
    {
      ...{ model, engine, data, learningRate: 3e-3, lrSchedulerType: "cosine", batchSize: 128, klSteps: 5 },
      maxLength: (prompts[0] as readonly number[]).length + maxLength,
      ...options,
    },
    {
      onStep: ({ metrics }) => void betas.push(metrics.beta as number),
      onWarning: (text) => void warnings.push(text),
    },
  );
  const policy = await logPolicyOf(engine, trained.model, problem);
  return { kl: valueOf(problem, policy, reference, 1).kl, betas, warnings };
}

describe("adaptive beta", () => {
  it("rises when the KL is above the target, falls when it is below, and stays within its bounds", () => {
    const o = { targetKl: 0.5, betaMin: 0.1, betaMax: 4 };
    expect(nextBeta(1, 1, o)).toBeGreaterThan(1);
    expect(nextBeta(1, 0.25, o)).toBeLessThan(1);
    expect(nextBeta(1, 0.5, o)).toBe(1);
    expect(nextBeta(3.9, 50, o)).toBe(4);
    expect(nextBeta(0.11, 0, o)).toBe(0.1);
  });

  it.each([0.1, 5])("holds its target within 20 %% (from beta %s)", async (beta) => {
    const targetKl = 0.2;
    const { kl, betas } = await reached({ beta, targetKl, maxSteps: 160 });
    expect(betas[0]).toBeCloseTo(beta, 5);
    expect(Math.abs(kl / targetKl - 1)).toBeLessThan(0.2);
  });

  it("says when beta is at a bound and the target is still not met", async () => {
    const { warnings, betas } = await reached({ beta: 0.5, targetKl: 0.01, betaMax: 0.8, maxSteps: 40 });
    expect(warnings.join()).toMatch(
      /beta is at its bound beta_max 0.8, and the KL [\d.]+ is still above target_kl 0.01; move the bound/,
    );
    expect(Math.max(...betas)).toBeCloseTo(0.8, 5);
  });

  it("refuses what cannot be meant, each with one sentence", async () => {
    await expect(reached({ targetKl: 0 })).rejects.toThrow(/target_kl: nats a response above 0 .* got 0/);
    await expect(reached({ targetKl: 1, betaMin: 2, betaMax: 1 })).rejects.toThrow(
      /beta_min: .* got 2 and 1/,
    );
    await expect(reached({ targetKl: 1, beta: 20 })).rejects.toThrow(/beta: a number from beta_min 0.01/);
    await expect(reached({ targetKl: 1, referenceFree: true })).rejects.toThrow(/target_kl: a reference is/);
    await expect(reached({ referenceFree: true, refModel: problem.model })).rejects.toThrow(/ref_model: /);
  });
});
