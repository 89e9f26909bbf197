import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Engine } from "../../graph/index.ts";
import { createEngine } from "../../graph/node.ts";
import { rows, tinyModel } from "../../train/tiny.fixture.ts";
import { affectedBy, gridOf, parseValues } from "./grid.ts";
import { runStudy } from "./run.ts";
import { checkStudy } from "./settings.ts";

let folder: string;
let engine: Engine;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "attune-study-"));
  engine = await createEngine({ threads: 1 });
  await tinyModel().save(join(folder, "base"));
  await writeFile(join(folder, "rows.jsonl"), rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  const prompts = ["The cat", "A dog", "The hen"].map((prompt) => `${JSON.stringify({ prompt })}\n`).join("");
  await writeFile(join(folder, "prompts.jsonl"), prompts);
});
afterAll(async () => {
  await engine.dispose();
  await rm(folder, { recursive: true, force: true });
});

const at = (name: string) => join(folder, name);
const study = (output: string, section: Record<string, unknown>, more: Record<string, unknown> = {}) =>
  checkStudy(
    {
      output_dir: at(output),
      evaluate: { prompts: at("prompts.jsonl"), reward: "rule:complete", max_new_tokens: 6 },
      stages: {
        sft: { model: at("base"), data: at("rows.jsonl"), max_steps: 2 },
        ppo: {
          model: "sft",
          data: at("prompts.jsonl"),
          reward: "rule:length",
          response_length: 6,
          batch_size: 3,
          learning_rate: 1e-3,
          max_steps: 4,
        },
        dpo: { model: "sft", data: at("pairs.jsonl") },
      },
      ...more,
      study: section,
    },
    "study.yaml",
  );

describe("the grid of a study", () => {
  it("runs once what nothing varies, and a cell for every value and seed", () => {
    const { shared, cells } = gridOf(
      study("grid", { seeds: [1, 2], strengths: { "ppo.kl_coef": [0, 0.1] } }),
      at("grid"),
    );
    expect(shared.stages.map(({ name }) => name)).toEqual(["sft"]);
    expect(cells.map(({ name }) => name)).toEqual([
      "ppo-kl_coef-0-seed-1",
      "ppo-kl_coef-0-seed-2",
      "ppo-kl_coef-0.1-seed-1",
      "ppo-kl_coef-0.1-seed-2",
    ]);
    const [first] = cells;
    expect(first?.recipe).toMatchObject({ seed: 1, stages: [{ name: "ppo" }] });
    expect(first?.recipe.stages[0]?.keys).toMatchObject({
      kl_coef: 0,
      model: join(at("grid"), "shared/stages/sft"),
    });
  });

  it("combines fields that vary, and puts strengths beside each other", () => {
    const product = { vary: { "ppo.kl_coef": [0, 0.1], "ppo.cliprange": [0.1, 0.2] }, seeds: [1] };
    expect(gridOf(study("a", product), at("a")).cells).toHaveLength(4);
    const union = { strengths: { "ppo.kl_coef": [0, 0.1], "dpo.beta": [0.1] }, seeds: [1] };
    const { cells } = gridOf(study("b", union), at("b"));
    expect(cells.map(({ target }) => target)).toEqual(["ppo", "ppo", "dpo"]);
  });

  it("runs again what is built on a varied stage, and nothing else", () => {
    const { recipe } = study("c", {});
    expect([...affectedBy(recipe, ["sft.learning_rate"])]).toEqual(["sft", "ppo", "dpo"]);
    expect([...affectedBy(recipe, ["ppo.kl_coef"])]).toEqual(["ppo"]);
    const { shared, cells } = gridOf(
      study("c", { vary: { "sft.learning_rate": [1e-3] }, stage: "ppo", seeds: [1] }),
      at("c"),
    );
    expect(shared.stages).toEqual([]);
    expect(cells[0]?.recipe.stages.map(({ name }) => name)).toEqual(["sft", "ppo"]);
  });

  it("optimises each of several proxies in cells of its own", () => {
    const proxies = { long: "rule:length", mixed: ["0.5*rule:length", "rule:complete"] };
    const { cells } = gridOf(study("d", { proxies, strengths: { "ppo.kl_coef": 0 }, seeds: [1] }), at("d"));
    expect(cells.map(({ proxy }) => proxy)).toEqual(["long", "mixed"]);
    expect(cells[1]?.recipe.stages[0]?.keys.reward).toEqual(proxies.mixed);
  });

  it("leads cells to the world's files and to shared stages, and leaves rewards of the world alone", () => {
    const world = study(
      "w",
      { seeds: [1], strengths: { "ppo.kl_coef": 0 } },
      {
        world: { prompts: 5, preferences: 5 },
        stages: {
          judge: { trainer: "reward", model: at("base"), data: "world:preferences" },
          ppo: { model: at("base"), data: "world:prompts", reward: ["0.5*judge", "world:gold"] },
        },
      },
    );
    const { cells } = gridOf(world, at("w"));
    expect(cells[0]?.recipe.stages[0]?.keys).toMatchObject({
      data: join(at("w"), "shared/data/prompts.jsonl"),
      reward: [`0.5*${join(at("w"), "shared/stages/judge")}`, "world:gold"],
    });
    expect([...affectedBy(world.recipe, ["world.noise"])]).toEqual(["judge", "ppo"]);
    expect([...affectedBy(world.recipe, ["world.prompts"])]).toEqual(["ppo"]);
  });

  it("refuses what it cannot mean", () => {
    const grid = (section: Record<string, unknown>) => gridOf(study("e", section), at("e"));
    expect(() => grid({ vary: { "pop.kl_coef": [1] } })).toThrow("the stages are sft, ppo, dpo");
    expect(() => grid({ vary: { "ppo.kl_coef": [-1] } })).toThrow("kl_coef: at least 0 is required, got -1");
    expect(() => grid({ vary: { "ppo.kl_coef": [0.1, 0.1] } })).toThrow("two cells");
    expect(() => study("e", { vari: {} })).toThrow(/vari is not a key; did you mean vary\?/);
    expect(() => study("e", { proxy: "rule:length", proxies: { a: "rule:length" } })).toThrow(
      "leave one out",
    );
    expect(parseValues("ppo.kl_coef=0,0.1")).toEqual(["ppo.kl_coef", [0, 0.1]]);
    expect(() => parseValues("ppo.kl_coef")).toThrow("a field and its values are required");
  });
});

describe("running a study", () => {
  const section = {
    seeds: [1, 2],
    strengths: { "ppo.kl_coef": [0] },
    snapshots: 2,
    num_prompts: 3,
    best_of_n: 4,
  };

  it("measures the reference and each snapshot, and keeps the model at the gold peak", async () => {
    const result = await runStudy(study("whole", section), { engine, bestOfN: true });
    expect(result.reason).toBe("done");
    expect(result.reference).toHaveLength(3);
    expect(result.reference[0]?.proxies.proxy).toHaveLength(4);
    expect(result.cells.map(({ seed }) => seed)).toEqual([1, 2]);
    for (const { points, responses, gold_peak, steps, seconds } of result.cells) {
      expect(points.map(({ step }) => step)).toEqual([2, 4]);
      expect(points[0]).toMatchObject({
        responses: 6,
        kl: { mean: expect.any(Number) },
        gold: { mean: expect.any(Number) },
      });
      expect(responses).toHaveLength(12);
      expect(steps).toBe(4);
      expect(seconds).toBeGreaterThan(0);
      expect(existsSync(gold_peak?.model as string)).toBe(true);
    }
  }, 60_000);

  it("goes on where it was stopped, keeps finished cells, and may grow", async () => {
    const stop = new AbortController();
    const first = await runStudy(study("stopped", section), {
      engine,
      bestOfN: true,
      signal: stop.signal,
      onPoint: () => stop.abort(),
    });
    expect(first).toMatchObject({ reason: "stopped", cells: [] });
    const onceMore = await runStudy(study("stopped", section), { engine, bestOfN: true, resume: true });
    const whole = await runStudy(study("whole", section), { engine, bestOfN: true, resume: true });
    expect(onceMore.cells.map(({ points }) => points)).toEqual(whole.cells.map(({ points }) => points));
    const cell = join(at("stopped"), "cells", "ppo-kl_coef-0-seed-1", "cell.json");
    const before = (await stat(cell)).mtimeMs;
    const grown = { ...section, strengths: { "ppo.kl_coef": [0, 0.5] } };
    const { cells } = await runStudy(study("stopped", grown), { engine, resume: true });
    expect(cells).toHaveLength(4);
    expect((await stat(cell)).mtimeMs).toBe(before);
    expect(await readFile(join(at("stopped"), "study.yaml"), "utf8")).toContain("0.5");
    await expect(runStudy(study("stopped", section), { engine })).rejects.toThrow("go on with --resume");
  }, 60_000);
});
