/**
 * Every recipe in recipes/ as it stands, in seconds: the same stages in the same order with the same algorithms, but
 * little models, two steps and a handful of rows. A recipe that is added is run without a word here; a key that makes it
 * long is one more row of `most`.
 */
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Recipe, type RecipeStage, readRecipeFile, runRecipe, stageKinds } from "attune/recipe";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { Engine } from "../src/graph/index.ts";
import { createEngine } from "../src/graph/node.ts";
import { namesIn } from "../src/recipe/references.ts";
import { preferences, rows, tinyModel } from "../src/train/tiny.fixture.ts";

/** Keys of stages that say how long they take: none that a recipe gives is larger than this. */
const most: Readonly<Record<string, number>> = {
  vocab_size: 300,
  hidden_size: 16,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  intermediate_size: 32,
  max_length: 64,
  max_prompt_length: 24,
  response_length: 8,
  per_device_train_batch_size: 4,
  gradient_accumulation_steps: 1,
  batch_size: 4,
  num_mini_batches: 1,
  eval_steps: 2,
  num_prompts: 4,
  num_samples: 2,
  pairs_per_prompt: 1,
  num_generations: 2,
};
const steps = 2;

/** What a model that has learned nothing cannot do: its samples neither end nor differ in anything but length. */
const instead: Readonly<Record<string, object>> = {
  pairs: { reward: "rule:length", terminated_only: false },
};

/** Rows of the world, and what is measured, at most. */
const mostRows = 40;
const smallEvaluation = { num_prompts: 4, max_new_tokens: 8, perplexity_rows: 4 };

const recipes = fileURLToPath(new URL("../recipes/", import.meta.url));
const files = (await readdir(recipes, { recursive: true }))
  .filter((file) => file.endsWith(".yaml") && !/^(suites|studies)/.test(file))
  .sort();

let folder: string;
let engine: Engine;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "attune-recipes-"));
  engine = await createEngine({ threads: 1 });
  const jsonl = (list: readonly object[]) => list.map((row) => `${JSON.stringify(row)}\n`).join("");
  await tinyModel().save(join(folder, "model"));
  await writeFile(join(folder, "texts.jsonl"), jsonl(rows));
  await writeFile(join(folder, "pairs.jsonl"), jsonl(preferences));
});
afterAll(async () => {
  await engine.dispose();
  await rm(folder, { recursive: true, force: true });
});

/** The numbers among the keys that are larger than they may be become that. */
const capped = (keys: object, limits: Readonly<Record<string, number>>): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(keys).map(([key, value]) => [
      key,
      typeof value === "number" && limits[key] !== undefined ? Math.min(value, limits[key]) : value,
    ]),
  );

/** The recipe with little to do, on what is here: models and rows from elsewhere become small ones of our own. */
function inSmall(recipe: Recipe): Recipe {
  const names = recipe.stages.map(({ name }) => name);
  const isOurs = (name: string) => names.includes(name) || name.startsWith("world:");
  const data = (value: unknown, file: string) =>
    value === undefined || namesIn(value).every(isOurs) ? value : join(folder, file);
  const stageInSmall = ({ name, trainer, keys }: RecipeStage): RecipeStage => {
    const kind = stageKinds[trainer];
    const has = (key: string) => key in (kind?.keys.shape ?? {});
    const texts =
      ["pretrain", "sft"].includes(trainer) || has("response_length") ? "texts.jsonl" : "pairs.jsonl";
    const { model } = keys;
    return {
      name,
      trainer,
      keys: {
        ...keys,
        ...capped(keys, most),
        ...(has("max_steps") && { max_steps: steps }),
        ...instead[trainer],
        ...(typeof model === "string" && !isOurs(model) && { model: join(folder, "model") }),
        ...(has("data") && { data: data(keys.data, texts) }),
        ...(keys.eval_data !== undefined && { eval_data: data(keys.eval_data, texts) }),
      },
    };
  };
  const { world, evaluate } = recipe;
  return {
    ...recipe,
    output_dir: join(folder, "runs", recipe.name),
    stages: recipe.stages.map(stageInSmall),
    ...(world && {
      world: capped(world, Object.fromEntries(Object.keys(world).map((key) => [key, mostRows]))),
    }),
    ...(evaluate && {
      evaluate: {
        ...evaluate,
        ...smallEvaluation,
        prompts: data(evaluate.prompts, "texts.jsonl") as string,
        ...(evaluate.perplexity !== undefined && {
          perplexity: data(evaluate.perplexity, "texts.jsonl") as string,
        }),
      },
    }),
  };
}

it.each(files)(
  "%s runs",
  async (file) => {
    const recipe = inSmall(await readRecipeFile(join(recipes, file)));
    const { reason, stages, evaluations, report } = await runRecipe(recipe, { engine });
    expect(reason).toBe("done");
    expect(stages.map(({ name, status }) => [name, status])).toEqual(
      recipe.stages.map(({ name }) => [name, "done"]),
    );
    for (const { name, steps, metrics } of stages) {
      expect({ name, steps }).toEqual({ name, steps: expect.toSatisfy((n: number) => n > 0) });
      for (const [metric, value] of Object.entries(metrics))
        expect({ name, metric, value }).toEqual({ name, metric, value: expect.toSatisfy(Number.isFinite) });
    }
    const answering = recipe.stages.filter(({ trainer }) => stageKinds[trainer]?.answers);
    if (recipe.evaluate) {
      expect(Object.keys(evaluations)).toEqual(answering.map(({ name }) => name));
      for (const { length, kl } of Object.values(evaluations))
        expect([length.mean, kl?.value ?? 0].every(Number.isFinite)).toBe(true);
    }
    const page = await readFile(report as string, "utf8");
    for (const { name } of recipe.stages) expect(page).toContain(name);
    expect(basename(report as string)).toBe("report.html");
  },
  180_000,
);
