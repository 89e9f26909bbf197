/** Where the model lies in a folder: in it, or, in the folder of a run, in the `model` folder below it. */
import { stat } from "node:fs/promises";
import { join } from "node:path";

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );

export async function folderOfModel(dir: string): Promise<string> {
  const below = join(dir, "model");
  return !(await exists(join(dir, "config.json"))) && (await exists(join(below, "config.json")))
    ? below
    : dir;
}
