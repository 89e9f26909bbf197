import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createEngine } from "../graph/node.ts";
import { rows, tinyModel } from "../train/tiny.fixture.ts";
import { readRecipeFile } from "./base.ts";
import { parseOverrides } from "./overrides.ts";
import { readRecipe, recipeData } from "./recipe.ts";
import { runRecipe } from "./run.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "attune-base-"));
  await mkdir(join(folder, "deep"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const file = async (name: string, content: string): Promise<string> => {
  const path = join(folder, name);
  await writeFile(path, content);
  return path;
};

describe("a recipe with a base", () => {
  it("has the base's stages first, and its own keys on top of the base's", async () => {
    await file(
      "start.yaml",
      `
      name: start
      seed: 3
      output_dir: elsewhere
      evaluate: { prompts: p.jsonl, num_prompts: 9 }
      stages: { sft: { model: m, data: d.jsonl, max_steps: 5, learning_rate: 1e-3 } }`,
    );
    const path = await file(
      "deep/more.yaml",
      `
      base: ../start.yaml
      evaluate: { num_prompts: 2 }
      stages:
        sft: { max_steps: 7 }
        dpo: { model: sft, data: pairs.jsonl }`,
    );
    const recipe = await readRecipeFile(path, { overrides: parseOverrides(["--sft.model", "other"]) });
    expect(recipe).toMatchObject({ name: "more", seed: 3, output_dir: "runs/more", shared: ["sft"] });
    expect(recipe.evaluate).toEqual({ prompts: "p.jsonl", num_prompts: 2 });
    expect(recipe.stages.map(({ name, keys }) => [name, keys.max_steps, keys.model])).toEqual([
      ["sft", 7, "other"],
      ["dpo", undefined, "sft"],
    ]);
    expect(recipeData(recipe)).not.toHaveProperty("base");
    expect(recipeData(recipe)).not.toHaveProperty("shared");
  });

  it("says which file is missing, which goes in a circle, and that text alone has no base", async () => {
    await expect(readRecipeFile(await file("a.yaml", "base: none.yaml"))).rejects.toThrow(
      /a\.yaml: base: none\.yaml is not there/,
    );
    await file("b.yaml", "base: c.yaml\nstages: { sft: { model: m, data: d } }");
    await expect(readRecipeFile(await file("c.yaml", "base: b.yaml"))).rejects.toThrow(
      /has this recipe as its own base/,
    );
    expect(() => readRecipe("base: x.yaml", { source: "y.yaml" })).toThrow(/readRecipeFile/);
  });
});

it("a stage of the base is trained once: the next run takes it, and another seed trains it anew", async () => {
  const data = await file("rows.jsonl", rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  await tinyModel().save(join(folder, "tiny"));
  const tiny = { trainer: "sft", data, max_steps: 2, max_length: 32 };
  const json = (value: object) => JSON.stringify(value);
  await file(
    "trained.yaml",
    json({ stages: { first: { ...tiny, model: join(folder, "tiny"), learning_rate: 0.01 } } }),
  );
  const two = json({ base: "trained.yaml", stages: { second: { ...tiny, model: "first" } } });
  const engine = await createEngine({ threads: 1 });
  const run = async (name: string, ...fields: string[]) => {
    const recipe = await readRecipeFile(await file(`${name}.yaml`, two), {
      overrides: parseOverrides(["--output_dir", join(folder, "runs", name), ...fields]),
    });
    const steps: string[] = [];
    const { dir } = await runRecipe(recipe, { engine, onStep: (stage) => steps.push(stage) });
    return {
      steps: [...new Set(steps)],
      weights: await readFile(join(dir, "stages/first/model/model.safetensors")),
    };
  };
  const [one, again, other] = [await run("one"), await run("again"), await run("other", "--seed", "1")];
  await engine.dispose();
  expect([one.steps, again.steps, other.steps]).toEqual([
    ["first", "second"],
    ["second"],
    ["first", "second"],
  ]);
  expect(again.weights.equals(one.weights)).toBe(true);
  expect(other.weights.equals(one.weights)).toBe(false);
}, 120_000);
