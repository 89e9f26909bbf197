/** Where the model lies in a folder: in it, or, in the folder of a run, in the `model` folder below it. */
import { stat } from "node:fs/promises";
import { join } from "node:path";

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );

/** A folder holds a model, or an adapter for one. */
const holdsModel = async (dir: string): Promise<boolean> =>
  (await exists(join(dir, "config.json"))) || (await exists(join(dir, "adapter_config.json")));

export async function folderOfModel(dir: string): Promise<string> {
  const below = join(dir, "model");
  return !(await holdsModel(dir)) && (await holdsModel(below)) ? below : dir;
}
