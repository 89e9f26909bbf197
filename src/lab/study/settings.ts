/**
 * What a study is: a recipe, and a section `study:` that says what varies. Stages that nothing varies run once and are
 * shared; the others run in a cell for each combination and seed.
 *
 *     stages: { sft: ..., reward: ..., ppo: ... }
 *     study:
 *       seeds: [1, 2, 3]
 *       vary: { ppo.kl_coef: [0, 0.05], ppo.cliprange: [0.1, 0.2] }      every combination
 *       strengths: { ppo.kl_coef: [0, 0.05], dpo.beta: [0.1, 0.5] }      one field at a time
 */
import { z } from "zod";
import { fieldsOf } from "../../recipe/base.ts";
import { RecipeError } from "../../recipe/errors.ts";
import { recipeJsonSchema } from "../../recipe/json-schema.ts";
import { count, flag, fromZero, text, texts } from "../../recipe/keys.ts";
import { type Override, withOverrides } from "../../recipe/overrides.ts";
import { checkRecipe, type Recipe } from "../../recipe/recipe.ts";
import { validated } from "../../recipe/validate.ts";
import { weightGrid, weightsLabel } from "../pareto/weights.ts";

/** Values of fields: a list each; a single value stands for a list of one. */
const lists = (description: string) =>
  z
    .record(z.string(), z.union([z.array(z.unknown()).min(1), z.unknown()]))
    .optional()
    .meta({ description });

const rewardSpec = (description: string) => z.unknown().optional().meta({ description });

export const studyKeys = {
  seeds: z
    .array(z.int().min(0))
    .min(1)
    .optional()
    .meta({ description: "a cell for each; what is shared has the recipe's", default: [1, 2, 3] }),
  vary: lists("fields and their values, as ppo.kl_coef: [0, 0.1]; every combination is a cell"),
  strengths: lists("fields and their values, one field at a time: how hard each algorithm optimises"),
  model: text("what is sampled and the KL is measured from (default: what the measured stage starts from)"),
  stage: text("the stage whose model is measured (default: the last that answers and is varied)"),
  proxy: rewardSpec("the reward that is optimised (default: the stage's own)"),
  proxies: z
    .record(z.string(), z.unknown())
    .optional()
    .meta({ description: "several of them by name; each is optimised in cells of its own" }),
  weights: z
    .strictObject({
      model: z.string().min(1).meta({ description: "a reward model with these objectives" }),
      objectives: z.array(z.string().min(1)).min(2),
      steps: z.int().min(1).max(20).optional().meta({ description: "between 0 and 1", default: 4 }),
    })
    .optional()
    .meta({ description: "proxies in place of those: one for each way to weigh the model's objectives" }),
  gold: rewardSpec("the reward that tells the truth, or a held-out one (default: evaluate.reward)"),
  prompts: texts("prompts that are answered (default: evaluate.prompts)"),
  num_prompts: count("of them", { default: 128 }),
  samples: count("answers to each prompt; pairs of them are what the proxy judges", { default: 2 }),
  max_new_tokens: count("tokens of an answer (default: evaluate.max_new_tokens)"),
  temperature: fromZero("of the answers' tokens, above 0 (default: evaluate.temperature)"),
  best_of_n: count("samples of the reference to each prompt (default: 64 for overopt, else samples)"),
  snapshots: count("models along each run that are measured, the last one included (default: the last)"),
  keep_checkpoints: flag("keep the checkpoints that were measured, not only the one at the gold peak"),
};

const schema = z.strictObject(studyKeys);

export type StudySettings = z.infer<typeof schema>;

/** A recipe with its section `study:`. */
export interface Study {
  readonly recipe: Recipe;
  readonly settings: StudySettings;
}

/** Fields of the recipe and of `study`, checked. */
export function checkStudy({ study = {}, ...fields }: Record<string, unknown>, source: string): Study {
  const given = validated(schema, study, `${source}: study`);
  const settings = given.weights ? { ...given, proxies: weighed(given, source) } : given;
  if (settings.proxy !== undefined && settings.proxies !== undefined)
    throw new RecipeError(`${source}: study: proxy and proxies are the same thing; leave one out`);
  if (settings.temperature === 0)
    throw new RecipeError(
      `${source}: study.temperature: above 0 is required, got 0: responses are drawn, or there is no KL`,
    );
  const { stages } = fields;
  const none = typeof stages !== "object" || stages === null || Object.keys(stages).length === 0;
  return { settings, recipe: none ? withoutStages(fields, source) : checkRecipe(fields, source) };
}

/** A proxy for each way to weigh. */
function weighed({ weights, proxies }: StudySettings, source: string): Record<string, unknown> {
  if (proxies !== undefined)
    throw new RecipeError(`${source}: study: weights are proxies of their own; leave one of the two out`);
  const { model, objectives, steps = 4 } = weights as NonNullable<StudySettings["weights"]>;
  return Object.fromEntries(
    weightGrid(objectives, steps).map((each) => [weightsLabel(each), { model, weights: each }]),
  );
}

/** Best-of-n of given models needs no stage, which every recipe has. */
function withoutStages(fields: Record<string, unknown>, source: string): Recipe {
  const placeholder = { trainer: "sft", model: "none", data: "none" };
  return { ...checkRecipe({ ...fields, stages: { placeholder } }, source), stages: [] };
}

/**
 * A study from its file and the files that it is based on, with fields of the command line; those of the study are named
 * `study.KEY`.
 */
export async function readStudyFile(
  path: string,
  { overrides = [] }: { readonly overrides?: readonly Override[] } = {},
): Promise<Study> {
  const { fields } = await fieldsOf(path);
  return checkStudy(withOverrides(fields, overrides), path);
}

/** A value as the list that it stands for. */
export const valuesOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [value]);

/**
 * The JSON Schema of studies, for editors; recipes/study.schema.json is this, written down. What recipes have too is
 * that of the file beside it.
 */
export function studyJsonSchema(): Record<string, unknown> {
  const { $schema, properties } = recipeJsonSchema() as {
    $schema: string;
    properties: Record<string, unknown>;
  };
  const names = Object.keys(properties).map((name) => [
    name,
    { $ref: `recipe.schema.json#/properties/${name}` },
  ]);
  const study = z.toJSONSchema(schema, { io: "input" });
  return {
    $schema,
    title: "Attune study",
    type: "object",
    properties: { ...Object.fromEntries(names), study: { ...study, $schema: undefined } },
    additionalProperties: false,
  };
}
