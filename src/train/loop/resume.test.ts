/** Every trainer: a run that was stopped and resumed ends in the bits of one that was not. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Engine } from "../../graph/index.ts";
import { createEngine } from "../../graph/node.ts";
import { loadModel, type Model } from "../../models/load.ts";
import { bco } from "../bco.ts";
import { cpo } from "../cpo.ts";
import { dpo } from "../dpo.ts";
import { grpo } from "../grpo.ts";
import { kto } from "../kto.ts";
import { listwise } from "../listwise.ts";
import { orpo } from "../orpo.ts";
import { ppo } from "../ppo.ts";
import { pretrain } from "../pretrain.ts";
import { reinforce } from "../reinforce.ts";
import { prm } from "../reward/prm.ts";
import { reward } from "../reward.ts";
import { rloo } from "../rloo.ts";
import { sft } from "../sft.ts";
import { simpo } from "../simpo.ts";
import { preferences, rows, sentences, tinyModel } from "../tiny.fixture.ts";
import type { TrainerHooks, TrainerOptions } from "./trainer-options.ts";

let folder: string;
let engine: Engine;
beforeAll(async () => {
  engine = await createEngine({ threads: 1 }); // the crash tests resume in a process of its own
  folder = await mkdtemp(join(tmpdir(), "attune-resume-"));
  await tinyModel().save(join(folder, "base"));
});
afterAll(async () => {
  await engine.dispose();
  await rm(folder, { recursive: true, force: true });
});

interface Ended {
  readonly model: Model;
  readonly critic?: Model;
  readonly reason: string;
  readonly steps: number;
}
type Train = (model: Model, options: TrainerOptions, hooks: TrainerHooks<unknown>) => Promise<Ended>;

const evalData = rows.slice(0, 4);
const pairs = { data: preferences, evalData: preferences.slice(0, 4) };
const solutions = sentences.slice(0, 12).map((text, i) => ({
  prompt: text.slice(0, 9),
  completions: [text, " runs.", " sleeps."],
  labels: [i % 2 === 0, true, i % 3 === 0],
}));
const prompts = sentences.map((text) => ({ prompt: text.slice(0, 9) }));
const longer = (batch: readonly { readonly completion: string }[]) =>
  batch.map(({ completion }) => completion.length);

/** A trainer joins by a row: how it is called with the shared options. */
const trainers: Record<string, Train> = {
  pretrain: (model, options, hooks) => pretrain({ ...options, model, data: rows, evalData }, hooks),
  sft: (model, options, hooks) => sft({ ...options, model, data: rows, evalData }, hooks),
  "sft, in micro-batches": (model, options, hooks) =>
    sft({ ...options, model, data: rows, evalData, batchSize: 2, gradientAccumulation: 2 }, hooks),
  "sft of an adapter": (model, options, hooks) =>
    sft({ ...options, model, data: rows, evalData, lora: { r: 2 } }, hooks),
  "sft by lion, with a moving average": (model, options, hooks) =>
    sft({ ...options, model, data: rows, evalData, optimizer: "lion", emaDecay: 0.9 }, hooks),
  reward: (model, options, hooks) => reward({ ...options, ...pairs, model }, hooks),
  dpo: (model, options, hooks) => dpo({ ...options, ...pairs, model }, hooks),
  "dpo of an adapter": (model, options, hooks) => dpo({ ...options, ...pairs, model, lora: { r: 2 } }, hooks),
  "dpo, the reference asked on the way": (model, options, hooks) =>
    dpo({ ...options, ...pairs, model, precomputeRefLogProbs: false }, hooks),
  "dpo, with a beta that is turned": (model, options, hooks) =>
    dpo({ ...options, ...pairs, model, targetKl: 0.5, klSteps: 1, klPrompts: 4 }, hooks),
  ...Object.fromEntries(
    Object.entries({ cpo, simpo, orpo, kto, bco, listwise }).map(([method, run]): [string, Train] => [
      method,
      (model, options, hooks) => run({ ...options, ...pairs, model }, hooks),
    ]),
  ),
  prm: (model, options, hooks) => prm({ ...options, model, data: solutions }, hooks),
  ppo: (model, options, hooks) =>
    ppo({ ...options, model, prompts, reward: longer, responseLength: 8, numPpoEpochs: 2 }, hooks),
  "ppo, with a moving average": (model, options, hooks) =>
    ppo({ ...options, model, prompts, reward: longer, responseLength: 8, emaDecay: 0.9 }, hooks),
  ...Object.fromEntries(
    Object.entries({ reinforce, rloo, grpo }).flatMap(([method, run]) =>
      [undefined, { r: 2 }].map((lora): [string, Train] => [
        `${method}${lora ? " of an adapter" : ""}`,
        (model, options, hooks) => {
          const groups = { ...(method !== "reinforce" && { numGenerations: 2 }), ...(lora && { lora }) };
          const given = { prompts, reward: longer, maxCompletionLength: 8, beta: 0.05, ...groups };
          return run({ ...options, ...given, model }, hooks);
        },
      ]),
    ),
  ),
};

/** Metrics that are not times. */
const logged = async (dir: string) =>
  (await readFile(join(dir, "metrics.jsonl"), "utf8"))
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, number>)
    .map((metrics) =>
      Object.fromEntries(Object.entries(metrics).filter(([name]) => !/^(time\/|eps$)/.test(name))),
    );

describe.each(Object.entries(trainers))("%s", (name, train) => {
  it("N steps straight through and N/2 with a resumed rest end in identical weights and metrics", async () => {
    const options = { batchSize: 4, maxSteps: 4, evalSteps: 2, saveSteps: 3, learningRate: 3e-3, engine };
    const at = (part: string) => join(folder, name.replaceAll(/\W+/g, "-"), part);
    const base = () => loadModel(join(folder, "base"));
    const whole = await train(await base(), { ...options, outputDir: at("whole") }, {});

    const stop = new AbortController();
    const half = await train(
      await base(),
      { ...options, outputDir: at("halves") },
      { signal: stop.signal, onStep: ({ step }) => void (step === 2 && stop.abort()) },
    );
    expect([half.reason, half.steps]).toEqual(["stopped", 2]);
    let began: unknown;
    const rest = await train(
      await base(),
      { ...options, outputDir: at("halves"), resume: true },
      { onStart: (start) => void (began = start) },
    );
    expect(began).toMatchObject({ step: 2, totalSteps: 4, tokens: expect.any(Number) });
    expect((began as { tokens: number }).tokens).toBeGreaterThan(0);
    expect(rest.model.parameters).toEqual(whole.model.parameters);
    expect(rest.model.adapter?.parameters).toEqual(whole.model.adapter?.parameters);
    expect(rest.critic?.parameters).toEqual(whole.critic?.parameters);
    expect(await logged(at("halves"))).toEqual(await logged(at("whole")));
    expect((await loadModel(at("halves"))).parameters).toEqual(rest.model.parameters);
  });
});

it("a run without a checkpoint starts from scratch, and that is said", async () => {
  const warnings: string[] = [];
  const options = {
    model: await loadModel(join(folder, "base")),
    data: rows,
    maxSteps: 1,
    threads: 1,
    resume: true,
  };
  const hooks = { onWarning: (text: string) => void warnings.push(text) };
  await sft({ ...options, outputDir: join(folder, "nothing") }, hooks);
  await sft(options, hooks);
  expect(warnings).toEqual([
    `${join(folder, "nothing")}: there is no checkpoint to go on from, the run starts at the first step`,
    "resume: without output_dir there is nothing to go on from, the run starts at the first step",
  ]);
});
