/** What each method on preferences does with a tiny model: it learns, it goes on to the same bits, it refuses. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { compile, hostArray, type Tensor } from "../graph/index.ts";
import { createEngine } from "../graph/node.ts";
import { describeOps, real } from "../graph/ops/check.fixture.ts";
import { each } from "../graph/ops/reference.fixture.ts";
import { type BcoOptions, bco } from "./bco.ts";
import { type CpoOptions, cpo } from "./cpo.ts";
import { dpo } from "./dpo.ts";
import { type KtoOptions, kto, withOthers } from "./kto.ts";
import { listwise } from "./listwise.ts";
import { log1mexp, orpo } from "./orpo.ts";
import { simpo } from "./simpo.ts";
import { preferences, tinyModel } from "./tiny.fixture.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "attune-preferences-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const settings = { learningRate: 5e-3, batchSize: 8, maxSteps: 16, threads: 1 } as const;
const basics = { model: tinyModel(), data: preferences, ...settings };
type Figures = Readonly<Record<string, number>>;

/** The metrics of every step. */
const listening = () => {
  const steps: Figures[] = [];
  const warnings: string[] = [];
  const hooks = {
    onStep: ({ metrics }: { metrics: Figures }) => void steps.push({ ...metrics }),
    onWarning: (text: string) => void warnings.push(text),
  };
  return { steps, warnings, hooks };
};

describe("every method on pairs", () => {
  it.each([
    ["cpo", cpo],
    ["simpo", simpo],
    ["orpo", orpo],
  ] as const)("prefers the chosen responses in the end (%s)", async (_, train) => {
    const { steps, hooks } = listening();
    const { metrics } = await train({ ...basics, evalData: preferences.slice(0, 6) }, hooks);
    expect(metrics["rewards/margins"]).toBeGreaterThan((steps[0] as Figures)["rewards/margins"] as number);
    expect(metrics.loss).toBeLessThan((steps[0] as Figures).loss as number);
    expect(metrics["eval_rewards/margins"]).toBeGreaterThan(
      (steps[0] as Figures)["rewards/margins"] as number,
    );
  });

  it("refuses what cannot work, each with one sentence", async () => {
    const refused = (change: Partial<CpoOptions>) => cpo({ ...basics, ...change });
    await expect(refused({ beta: 0 })).rejects.toThrow(/^beta: a number above 0 is required, got 0$/);
    await expect(refused({ lossType: "sigmoyd" as "simpo" })).rejects.toThrow(
      /loss_type: one of sigmoid, hinge/,
    );
    await expect(refused({ lossType: "ipo", labelSmoothing: 0.1 })).rejects.toThrow(/ipo has none/);
    await expect(orpo({ ...basics, beta: -1 })).rejects.toThrow(/beta: a number of at least 0 .* got -1/);
  });
});

describe("the odds ratio", () => {
  describeOps("orpo", [
    {
      name: "log(1 - e^x)",
      inputs: [real(["B"], -3, -0.05)],
      fn: log1mexp,
      reference: each((x) => Math.log(-Math.expm1(x))),
    },
  ]);

  it("is finite for responses that are certain, nearly certain, or impossible", async () => {
    const engine = await createEngine({ threads: 1 });
    const program = await engine.load(
      compile((p) => ({ y: log1mexp(p.x as Tensor) }), [{ x: { dtype: "float32", shape: [4] } }] as const),
    );
    const { y } = await engine.run(program, [{ x: hostArray("float32", [4], [0, -1e-6, -30, -1e4]) }]);
    await engine.dispose();
    const [certain, nearly, ...impossible] = [...(y as ReturnType<typeof hostArray>).data].map(Number);
    expect(Number.isFinite(certain)).toBe(true);
    expect(nearly).toBeCloseTo(Math.log(-Math.expm1(-1e-6)), 4);
    for (const value of impossible) expect(value).toBeCloseTo(0, 6);
  });
});

const labelled = preferences.flatMap(({ prompt, chosen, rejected }) => [
  { prompt, completion: chosen, label: true },
  { prompt, completion: rejected, label: false },
]);

describe("listwise", () => {
  const ranked = preferences.map(({ prompt, chosen, rejected }, i) => ({
    prompt,
    completions: [rejected, chosen, ...(i % 2 === 0 ? [" is green."] : [])],
    ranks: [2, 1, ...(i % 2 === 0 ? [3] : [])],
  }));

  it("learns the order of lists of any length", async () => {
    const { steps, hooks } = listening();
    const { metrics } = await listwise(
      { ...basics, beta: 0.5, data: ranked, evalData: ranked.slice(0, 6) },
      hooks,
    );
    expect(steps[0]?.loss).toBeGreaterThan(Math.log(2)); // of 2 and of 3, log 2! and log 3!
    expect(steps[0]?.loss).toBeLessThan(Math.log(6));
    expect(metrics["rewards/accuracies"]).toBeGreaterThan(0.9);
    expect(metrics["eval_rewards/margins"]).toBeGreaterThan(0.5);
  });

  it("of lists of two is DPO, whether they come as rankings, ratings or pairs", async () => {
    const short = { ...basics, maxSteps: 2, groupByLength: false };
    const pairs = listening();
    await dpo({ ...short, data: preferences }, pairs.hooks);
    const rankings = preferences.map(({ prompt, chosen, rejected }) => ({
      ...{ prompt, completions: [chosen, rejected], ranks: [1, 2] },
    }));
    const ratings = preferences.flatMap(({ prompt, chosen, rejected }, i) => [
      { prompt: `${i}${prompt}`, completion: chosen, rating: 3 },
      { prompt: `${i}${prompt}`, completion: rejected, rating: 1 },
    ]);
    for (const data of [rankings, preferences]) {
      const lists = listening();
      await listwise({ ...short, data }, lists.hooks);
      for (const [i, step] of pairs.steps.entries())
        for (const name of ["loss", "grad_norm", "rewards/margins", "logps/chosen"])
          expect(lists.steps[i]?.[name], name).toBeCloseTo(step[name] as number, 4);
    }
    const rated = listening();
    await listwise({ ...short, data: ratings }, rated.hooks);
    expect(rated.steps[0]?.loss).toBeCloseTo(Math.LN2, 5);
    expect(rated.steps[1]?.["rewards/margins"]).toBeGreaterThan(0);
  });

  it("leaves out lists without an order, and says so", async () => {
    const { hooks } = listening();
    const tie = { prompt: "A", completions: [" b", " c"], ranks: [1, 1] };
    let skipped: readonly string[] = [];
    await listwise(
      { ...basics, data: [...ranked, tie], maxSteps: 1 },
      {
        ...hooks,
        onStart: ({ train }) => void ({ skipped } = train),
      },
    );
    expect(skipped.join()).toMatch(/25.*all completions of the ranking tie/);
    await expect(listwise({ ...basics, data: ranked, beta: 0 })).rejects.toThrow(/beta: a number above 0/);
  });
});

describe("every method on labelled completions", () => {
  it.each([
    ["kto", kto],
    ["bco", bco],
  ] as const)("raises what is desirable over what is not (%s)", async (_, train) => {
    const { steps, hooks } = listening();
    const { metrics } = await train({ ...basics, data: labelled, evalData: labelled.slice(0, 8) }, hooks);
    const [first] = steps as [Figures];
    expect(first["rewards/margins"]).toBeCloseTo(0, 4);
    expect(metrics["rewards/margins"]).toBeGreaterThan(0.2);
    expect(metrics["eval_rewards/margins"]).toBeGreaterThan(0.2);
    expect(metrics.loss).toBeLessThan(first.loss as number);
  });

  it.each([
    ["kto", kto],
    ["bco", bco],
  ] as const)("takes pairs as two completions each (%s)", async (_, train) => {
    const [a, b] = [listening(), listening()];
    await train({ ...basics, maxSteps: 2 }, a.hooks);
    await train({ ...basics, data: labelled, maxSteps: 2 }, b.hooks);
    expect(a.steps).toEqual(b.steps);
  });

  it("goes on to the same bits: the running mean of BCO's rewards is in the checkpoint", async () => {
    const outputDir = join(folder, "bco");
    const whole = listening();
    await bco({ ...basics, data: labelled, maxSteps: 6, lrSchedulerType: "constant" }, whole.hooks);
    const [first, rest] = [listening(), listening()];
    const o: BcoOptions = { ...basics, data: labelled, outputDir, lrSchedulerType: "constant", saveSteps: 3 };
    await bco({ ...o, maxSteps: 3 }, first.hooks);
    await bco({ ...o, maxSteps: 6, resume: true }, rest.hooks);
    expect([...first.steps, ...rest.steps]).toEqual(whole.steps);
    const lines = (await readFile(join(outputDir, "metrics.jsonl"), "utf8")).trim().split("\n");
    expect(lines.map((line) => JSON.parse(line).delta)).toEqual(whole.steps.map(({ delta }) => delta));
  });

  it("says how labels of unequal numbers would balance", async () => {
    const { warnings, hooks } = listening();
    const data = labelled.filter(({ label }, i) => label || i % 4 === 1);
    await kto({ ...basics, data, maxSteps: 1 }, hooks);
    expect(warnings).toEqual([
      "there are 24 desirable completions and 12 others; a desirable_weight from 0.50 to 0.67 would balance them",
    ]);
  });

  it("KTO measures its drift on completions of other prompts, cut to the length of rows", () => {
    const row = (prompt: number[], completion: number[]) => ({
      ...{ prompt: Int32Array.from(prompt), completion: Int32Array.from(completion), label: true },
      ...{ texts: { prompt: "", completion: "" }, row: {}, source: { file: "rows", line: 1 } },
    });
    const rows = [row([1], [10]), row([1], [11]), row([2], [12, 13, 14]), row([3, 3], [15, 16])];
    for (const seed of [0, 1, 2, 3])
      for (const { prompt, other } of withOthers(rows, { seed, maxLength: 3 })) {
        const owners = rows.filter(({ completion }) => completion[0] === other[0]);
        expect(owners.map((owner) => owner.prompt.join())).not.toContain(prompt.join());
        expect(prompt.length + other.length).toBeLessThanOrEqual(3);
      }
  });

  it("refuses what cannot work, each with one sentence", async () => {
    const refused = (change: Partial<KtoOptions>) => kto({ ...basics, data: labelled, ...change });
    await expect(refused({ beta: 0 })).rejects.toThrow(/^beta: a number above 0 is required, got 0$/);
    await expect(refused({ desirableWeight: -1 })).rejects.toThrow(
      /desirable_weight: a number of at least 0/,
    );
    await expect(refused({ lossType: "kot" as "kto" })).rejects.toThrow(/loss_type: one of kto, apo_zero/);
    await expect(refused({ data: labelled.slice(0, 1) })).rejects.toThrow(/kto needs at least 2 rows/);
    await expect(refused({ data: [{ prompt: "a", completion: " b" }] })).rejects.toThrow(/label/);
  });
});
