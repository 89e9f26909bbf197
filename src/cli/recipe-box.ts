/** The recipes in the box: what lies in recipes/, by name. Suites of measures and studies are none. */
import { readdir } from "node:fs/promises";
import { sep } from "node:path";
import { fileURLToPath } from "node:url";

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
