/**
 * Where the model lies in a folder: in it, or, in the folder of a run, in the `model` folder below it. A run that has
 * not ended has none yet; the error names what it does have.
 */
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { CheckpointError } from "./errors.ts";

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );

/** A folder holds a model, or an adapter for one. */
const holdsModel = async (dir: string): Promise<boolean> =>
  (await exists(join(dir, "config.json"))) || (await exists(join(dir, "adapter_config.json")));

/** Folders of a run that hold models of their own, and what an error calls them. */
const parts = [
  { folder: "checkpoints", what: "a run without a model yet, its checkpoints are" },
  { folder: "members", what: "an ensemble of reward models, name one of its members:" },
  { folder: "stages", what: "a run of several stages, name one of them:" },
] as const;

/**
 * The folder that has the model's files.
 *
 * @throws CheckpointError for the folder of a run that has only checkpoints, or only stages; it lists them
 */
export async function folderOfModel(dir: string): Promise<string> {
  if (await holdsModel(dir)) return dir;
  const below = join(dir, "model");
  if (await holdsModel(below)) return below;
  for (const { folder, what } of parts) {
    const found = await modelsBelow(join(dir, folder));
    if (found.length > 0) throw new CheckpointError(`${dir}: this is ${what} ${found.join(", ")}`);
  }
  return dir;
}

/** Folders in `dir` that can be loaded, in the order of their numbers. */
async function modelsBelow(dir: string): Promise<string[]> {
  const names = (await readdir(dir).catch((): string[] => [])).filter((name) => !name.startsWith("."));
  names.sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
  const has = await Promise.all(names.map((name) => holdsModel(join(dir, name, "model"))));
  return names.filter((_, i) => has[i]).map((name) => join(dir, name));
}
