import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import type { Engine } from "../graph/index.ts";
import { createEngine } from "../graph/node.ts";
import { newHub, serve } from "../runs/hub.fixture.ts";
import { rows, tinyModel } from "../train/tiny.fixture.ts";
import { RecipeError } from "./errors.ts";
import { checkRecipe } from "./recipe.ts";
import { runRecipe } from "./run.ts";

let folder: string;
let engine: Engine;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "attune-recipe-"));
  engine = await createEngine();
  await tinyModel().save(join(folder, "base"));
  await writeFile(join(folder, "rows.jsonl"), rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  const prompts = ["The cat", "A dog", "The hen"].map((prompt) => `${JSON.stringify({ prompt })}\n`).join("");
  await writeFile(join(folder, "prompts.jsonl"), prompts);
});
afterAll(async () => {
  await engine.dispose();
  await rm(folder, { recursive: true, force: true });
});

const data = (name: string) => join(folder, name);
const recipe = (output: string, more: Record<string, unknown> = {}) =>
  checkRecipe(
    {
      output_dir: data(output),
      evaluate: {
        prompts: data("prompts.jsonl"),
        reward: "rule:length",
        max_new_tokens: 6,
        perplexity: data("rows.jsonl"),
      },
      stages: {
        sft: { model: data("base"), data: data("rows.jsonl"), max_steps: 4, learning_rate: 1e-2 },
        pairs: {
          model: "sft",
          data: data("prompts.jsonl"),
          reward: "rule:length",
          response_length: 6,
          num_samples: 4,
          terminated_only: false,
        },
        dpo: { model: "sft", data: "pairs", max_steps: 2 },
        ppo: {
          model: "sft",
          data: data("prompts.jsonl"),
          reward: ["0.5*rule:length", { rule: "complete" }],
          response_length: 6,
          batch_size: 3,
          max_steps: 2,
        },
      },
      ...more,
    },
    "test.yaml",
  );
const bitsOf = async (output: string, stage: string): Promise<string> =>
  createHash("sha256")
    .update(await readFile(join(data(output), "stages", stage, "model", "model.safetensors")))
    .digest("hex");

describe("running a recipe", () => {
  it("runs every stage, measures those that answer against the stage they start from, and writes the report", async () => {
    const { reason, evaluations, report } = await runRecipe(recipe("whole"), { engine });
    expect(reason).toBe("done");
    expect(Object.keys(evaluations)).toEqual(["sft", "dpo", "ppo"]);
    expect(evaluations.sft).toMatchObject({ prompts: 3, reward: { overall: { mean: expect.any(Number) } } });
    for (const stage of ["dpo", "ppo"])
      expect(evaluations[stage]).toMatchObject({
        win_rate: { against: "sft", n: 3 },
        kl: { against: "sft", unit: "nats per response" },
        perplexity: expect.any(Number),
      });
    expect(evaluations.dpo?.kl?.value).toBeGreaterThanOrEqual(0);
    // A sum's parts are told at each step, before their weights.
    const [step] = (await readFile(join(data("whole"), "stages/ppo/metrics.jsonl"), "utf8")).split("\n");
    const metrics = JSON.parse(step as string);
    expect(metrics["objective/scores"]).toBeCloseTo(
      0.5 * metrics["rewards/length/mean"] + metrics["rewards/complete/mean"],
      5,
    );
    expect(await readFile(report as string, "utf8")).toContain("ppo");
  }, 60_000);

  it("goes on where it was stopped, to the same bits, and measures what was not measured", async () => {
    const stop = new AbortController();
    const first = await runRecipe(recipe("stopped"), {
      engine,
      signal: stop.signal,
      onStep: (stage, { step }) => {
        if (stage === "ppo" && step === 1) stop.abort();
      },
    });
    expect(first).toMatchObject({
      reason: "stopped",
      stages: [{}, {}, {}, { name: "ppo", status: "stopped", steps: 1 }],
    });
    expect(await readFile(first.report as string, "utf8")).toContain("dpo");
    const seen: string[] = [];
    const second = await runRecipe(recipe("stopped"), {
      engine,
      resume: true,
      onStep: (stage) => seen.push(stage),
    });
    expect(second.reason).toBe("done");
    expect(new Set(seen)).toEqual(new Set(["ppo"]));
    expect(Object.keys(second.evaluations)).toEqual(["sft", "dpo", "ppo"]);
    for (const stage of ["sft", "dpo", "ppo"])
      expect(await bitsOf("stopped", stage)).toBe(await bitsOf("whole", stage));
  }, 60_000);

  it("leaves earlier stages as they are when one fails, and does not call the run finished", async () => {
    const failing = recipe("failed", {
      evaluate: {},
      stages: {
        sft: { model: data("base"), data: data("rows.jsonl"), max_steps: 1 },
        dpo: { model: "sft", data: data("rows.jsonl") }, // no pairs
      },
    });
    const notes: string[] = [];
    await expect(runRecipe(failing, { engine, note: (line) => notes.push(line) })).rejects.toThrow(
      /rows\.jsonl:1 and \d+ more rows: these columns are of the format/,
    );
    expect(notes.join("\n")).toMatch(
      /the stages before it are done; attune run --resume .*failed goes on after them.*recipe.yaml/,
    );
    expect(await bitsOf("failed", "sft")).toHaveLength(64);
    expect(await readFile(join(data("failed"), "report.html"), "utf8")).toContain("sft");
    expect(JSON.parse(await readFile(join(data("failed"), "run.json"), "utf8"))).not.toHaveProperty(
      "finished",
    );
    await expect(runRecipe(failing, { engine })).rejects.toThrow(RecipeError);
  }, 60_000);

  it("ends after max_minutes with a checkpoint, whatever the garbage collector does meanwhile", async () => {
    const long = recipe("limited", {
      max_minutes: 0.02,
      stages: { sft: { model: data("base"), data: data("rows.jsonl"), max_steps: 100_000 } },
      evaluate: {},
    });
    const garbage: unknown[] = [];
    const { reason, stages } = await runRecipe(long, {
      engine,
      onStep: () => {
        for (let i = 0; i < 50; i++) garbage[i] = new Array(10_000).fill({ i });
      },
    });
    expect(reason).toBe("stopped");
    expect(stages[0]?.steps).toBeLessThan(100_000);
    expect((await runRecipe({ ...long, max_minutes: 0.005 }, { engine, resume: true })).reason).toBe(
      "stopped",
    );
  }, 60_000);

  it("starts anew in the folder of a run that failed before it had anything, and in no other", async () => {
    const broken = {
      world: { sft: 4 },
      stages: { sft: { model: data("base"), data: data("nowhere.jsonl") } },
    };
    await expect(runRecipe(recipe("unbegun", broken), { engine })).rejects.toThrow("nowhere.jsonl");
    const whole = { stages: { sft: { model: data("base"), data: data("rows.jsonl"), max_steps: 1 } } };
    expect((await runRecipe(recipe("unbegun", whole), { engine })).reason).toBe("done");
    await expect(runRecipe(recipe("unbegun", whole), { engine })).rejects.toThrow("the folder is not empty");
  });

  it("never takes a person's own data or recipe for a run that failed", async () => {
    await mkdir(join(data("mine"), "data"), { recursive: true });
    await writeFile(join(data("mine"), "data", "rows.jsonl"), "mine\n");
    await writeFile(join(data("mine"), "recipe.yaml"), "mine\n");
    await expect(runRecipe(recipe("mine"), { engine })).rejects.toThrow("the folder is not empty");
    expect(await readFile(join(data("mine"), "data", "rows.jsonl"), "utf8")).toBe("mine\n");
  });

  it("measures by a reward model once it is trained, the stages before it too", async () => {
    const pairs = join(data("whole"), "stages", "pairs", "pairs.jsonl");
    const judged = recipe("judged", {
      evaluate: { prompts: data("prompts.jsonl"), reward: "judge", max_new_tokens: 4 },
      stages: {
        sft: { model: data("base"), data: data("rows.jsonl"), max_steps: 1 },
        judge: { trainer: "reward", model: "sft", data: pairs, max_steps: 1 },
      },
    });
    const { evaluations } = await runRecipe(judged, { engine });
    expect(evaluations).toMatchObject({ sft: { reward: { overall: { mean: expect.any(Number) } } } });
  }, 60_000);

  it("uploads the models that a recipe names, each once, also when the run goes on later", async () => {
    const hub = newHub();
    const server = serve(hub);
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    vi.stubEnv("HF_TOKEN", "hf_secret");
    vi.stubEnv("HF_ENDPOINT", `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    try {
      const pushing = (more: object) =>
        recipe("pushed", {
          evaluate: {},
          push_to_hub: "me/model",
          stages: { sft: { model: data("base"), data: data("rows.jsonl"), max_steps: 1 } },
          ...more,
        });
      hub.status = 403;
      await expect(runRecipe(pushing({}), { engine })).rejects.toThrow(
        /push to me\/model: the token may not/,
      );
      delete hub.status;
      const { stages } = await runRecipe(pushing({}), { engine, resume: true });
      expect(stages[0]?.pushed).toMatch(/\/me\/model$/);
      const again = await runRecipe(pushing({}), { engine, resume: true });
      expect(again.stages[0]?.pushed).toBe(stages[0]?.pushed);
      expect(hub.commits).toHaveLength(1);
      expect(hub.commits[0]?.map(({ value }) => value.path)).toContain("model.safetensors");
    } finally {
      vi.unstubAllEnvs();
      server.closeAllConnections();
      server.close();
    }
  }, 60_000);

  it("asks for a token, and for a repository's name, before anything is trained", async () => {
    vi.stubEnv("HF_TOKEN", undefined);
    const stages = { sft: { model: data("base"), data: data("rows.jsonl"), push_to_hub: "me/model" } };
    await expect(runRecipe(recipe("no-token", { stages }), { engine })).rejects.toThrow(/set HF_TOKEN/);
    await expect(readFile(join(data("no-token"), "run.json"))).rejects.toThrow();
    vi.unstubAllEnvs();
    expect(() => recipe("twice", { stages, push_to_hub: "me/other" })).toThrow(/sft.*has one of its own/);
    const pairs = { model: data("base"), data: data("prompts.jsonl"), reward: "rule:length" };
    expect(() => recipe("none", { stages: { pairs: { ...pairs, push_to_hub: "me/x" } } })).toThrow(
      /push_to_hub/,
    );
  });

  it("a stage may not use a later one, as model, as data or inside a reward", () => {
    const order = (ppo: object) => () =>
      recipe("order", {
        stages: {
          ppo: { model: "x", data: "y", reward: "rule:length", ...ppo },
          later: { trainer: "sft", model: "x", data: "y" },
        },
      });
    expect(order({ model: "later" })).toThrow(/ppo.model: later is not an earlier stage/);
    expect(order({ data: ["y", "later=2"] })).toThrow(/ppo.data: later/);
    expect(order({ reward: ["rule:length", "0.5*later"] })).toThrow(/ppo.reward: later/);
    expect(order({ reward: { model: "later" } })).toThrow(/ppo.reward: later/);
  });
});
