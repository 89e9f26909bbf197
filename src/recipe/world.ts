/** The built-in world's data as files of the run, and their names in recipes: `world:pretrain`, `world:preferences`, ... */
import { access } from "node:fs/promises";
import { join } from "node:path";
import { worldFiles } from "../data/world/files.ts";
import { createWorld } from "../data/world/world.ts";
import { didYouMean } from "../graph/nearest.ts";
import { makeFolder } from "../runs/make-folder.ts";
import { writeWhole } from "../runs/write-whole.ts";
import { RecipeError } from "./errors.ts";
import type { Recipe } from "./recipe.ts";

const prefix = "world:";

/** Writes the files that are not there yet; they are a function of the seed. */
export async function writeWorld(
  dir: string,
  { world, seed }: Pick<Recipe, "world" | "seed">,
  note?: (line: string) => void,
): Promise<void> {
  if (!world) return;
  const { held_out, seed: own, ...counts } = world;
  const files = worldFiles(createWorld({ seed: own ?? seed }), {
    ...counts,
    ...(held_out !== undefined && { heldOut: held_out }),
  });
  await makeFolder(dir);
  let rows = 0;
  for (const { name, make } of files) {
    const path = join(dir, `${name}.jsonl`);
    if (await exists(path)) continue;
    const made = make();
    rows += made.length;
    if (made.length > 0) await writeWhole(path, `${made.map((row) => JSON.stringify(row)).join("\n")}\n`);
  }
  if (rows > 0) note?.(`the world: ${rows} rows in ${dir}`);
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

/** The file behind `world:NAME`; undefined for any other name. */
export function worldFile(dir: string, name: string, { world }: Pick<Recipe, "world">): string | undefined {
  if (!name.startsWith(prefix)) return undefined;
  const file = name.slice(prefix.length);
  const known = worldFiles(createWorld({ seed: 0 }), {}).map((row) => row.name);
  if (!known.includes(file))
    throw new RecipeError(`${name}: no such data of the world${didYouMean(file, known)}`);
  if (!world)
    throw new RecipeError(`${name}: the recipe makes no world; add a line such as world: { ${file}: 1000 }`);
  return join(dir, `${file}.jsonl`);
}
