/**
 * `base: other.yaml` in a recipe: it goes on from another recipe's stages.
 *
 *     base: small-world.yaml          # the path from this file; its world, evaluation and stages come first
 *     stages:
 *       ppo: { model: sft, reward: reward, data: world:prompts }
 *
 * What is resolved is a whole recipe of its own: recipe.yaml of the run has no base. The stages that came from the base
 * are known as `shared`, so that the next recipe on the same base need not train them again (see shared-stages.ts).
 */
import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { RecipeError } from "./errors.ts";
import { type Override, withOverrides } from "./overrides.ts";
import { checkRecipe, parseYaml, type Recipe } from "./recipe.ts";

type Fields = Record<string, unknown>;

const isFields = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Keys one level down: the second's win, the first's order stays. */
const merged = (first: unknown, second: unknown): unknown =>
  isFields(first) && isFields(second) ? { ...first, ...second } : (second ?? first);

/** The recipe on its base: `world`, `evaluate` and each stage by their keys, everything else by the recipe's own. */
function onBase({ name: _, output_dir: __, ...base }: Fields, own: Fields): Fields {
  const [below, above] = [base.stages, own.stages].map((stages) => (isFields(stages) ? stages : {}));
  const stages: Fields = { ...below };
  for (const [name, stage] of Object.entries(above as Fields)) stages[name] = merged(stages[name], stage);
  return {
    ...base,
    ...own,
    ...((base.world ?? own.world) !== undefined && { world: merged(base.world, own.world) }),
    ...((base.evaluate ?? own.evaluate) !== undefined && { evaluate: merged(base.evaluate, own.evaluate) }),
    stages,
  };
}

/**
 * The fields of a file with those of its base, and of the base's base, below them.
 *
 * @throws RecipeError when a base is not there, or has the recipe as its own base
 */
export async function fieldsOf(
  path: string,
  above: readonly string[] = [],
): Promise<{ fields: Fields; shared: string[] }> {
  const { base, ...own } = parseYaml(await readFile(path, "utf8"), path);
  if (base === undefined) return { fields: own, shared: [] };
  if (typeof base !== "string")
    throw new RecipeError(`${path}: base: the path of a recipe is required, got ${JSON.stringify(base)}`);
  const file = resolve(dirname(path), base);
  const chain = [...above, resolve(path)];
  if (chain.includes(file)) throw new RecipeError(`${path}: base: ${base} has this recipe as its own base`);
  const below = await fieldsOf(file, chain).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "ENOENT") throw error;
    throw new RecipeError(`${path}: base: ${base} is not there (looked for ${file})`, { cause: error });
  });
  const stages = isFields(below.fields.stages) ? Object.keys(below.fields.stages) : [];
  return { fields: onBase(below.fields, own), shared: stages };
}

/**
 * A recipe from its file and the files that it is based on, with fields of the command line.
 *
 * @throws RecipeError for what is wrong in any of them
 */
export async function readRecipeFile(
  path: string,
  { overrides = [] }: { overrides?: readonly Override[] } = {},
): Promise<Recipe> {
  const { fields, shared } = await fieldsOf(path);
  const recipe = checkRecipe(withOverrides(fields, overrides), path);
  return shared.length === 0 ? recipe : { ...recipe, shared };
}
