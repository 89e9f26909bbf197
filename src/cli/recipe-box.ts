/** The recipes in the box: what lies in recipes/, by name. Suites of measures and studies are none. */
import { readdir, stat } from "node:fs/promises";
import { sep } from "node:path";
import { fileURLToPath } from "node:url";
import { didYouMean } from "../graph/nearest.ts";
import { RecipeError } from "../recipe/errors.ts";

const folder = new URL("../../recipes/", import.meta.url);

/** Where a recipe of the box is: `world` is recipes/world.yaml, `algorithms/ppo` one folder deeper. */
export const boxedRecipe = (name: string): string => fileURLToPath(new URL(`${name}.yaml`, folder));

/** Every YAML file of the box without its ending, those of the first folder first. */
async function namesInBox(): Promise<string[]> {
  const files = await readdir(folder, { recursive: true });
  const depth = (name: string) => name.split("/").length;
  return files
    .map((file) => file.split(sep).join("/"))
    .filter((file) => file.endsWith(".yaml"))
    .map((file) => file.slice(0, -".yaml".length))
    .sort((a, b) => depth(a) - depth(b) || a.localeCompare(b));
}

/** The names of all recipes in the box, those of the first folder first. */
export const recipeNames = async (): Promise<string[]> =>
  (await namesInBox()).filter((name) => !/^(suites|studies)\//.test(name));

/** The names of all studies in the box: recipes with a section `study`. */
export const studyNames = async (): Promise<string[]> =>
  (await namesInBox()).filter((name) => name.startsWith("studies/"));

export const isFile = async (path: string): Promise<boolean> =>
  (await stat(path).catch(() => undefined))?.isFile() ?? false;
const isThere = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );

/**
 * The file that a name means: a file of that name, or one of the box. A folder of that name, such as the results of an
 * earlier run, does not stand in the way of the box.
 *
 * @param prefixes of names in the box, which may be left out
 * @throws RecipeError for a name that is neither, with the nearest one
 */
export async function recipeFile(
  name: string,
  box: readonly string[],
  prefixes: readonly string[] = [],
): Promise<string> {
  if (await isFile(name)) return name;
  const boxed = ["", ...prefixes].map((prefix) => prefix + name).find((each) => box.includes(each));
  if (boxed !== undefined) return boxedRecipe(boxed);
  if (await isThere(name))
    throw new RecipeError(
      `${name}: a recipe's file is required, this is a folder; --resume ${name} goes on with a run`,
    );
  throw new RecipeError(`${name}: no such recipe${didYouMean(name, box)}`);
}
