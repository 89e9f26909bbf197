/**
 * Stages of a `base` that another run has trained already: kept beside the runs, in `.shared/`, under a fingerprint of
 * everything that they are made of, and copied into a run that needs the same.
 *
 * The fingerprint covers the seed, the world, the evaluation, the stage with all before it, the size and time of files
 * that they name, and the compiled code: when one of them changes, the stage is trained anew.
 */
import { createHash } from "node:crypto";
import { cp, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { makeFolder } from "../runs/make-folder.ts";
import type { Recipe } from "./recipe.ts";
import { stageDir } from "./run-files.ts";

export interface SharedStages {
  /** Copies a stage of the base into the run, when another run left the same; says from where. */
  take(stage: string): Promise<string | undefined>;
  /** Leaves a stage of the base that is done, and measured, to later runs. */
  leave(stage: string): Promise<void>;
}

const stamp = async (path: string): Promise<string> => {
  const found = await stat(path).catch(() => undefined);
  return found?.isFile() ? `${found.size}:${found.mtimeMs}` : "";
};

/** Every text in a value, at any depth. */
function textsIn(value: unknown): string[] {
  if (typeof value === "string") return [value];
  return typeof value === "object" && value !== null ? Object.values(value).flatMap(textsIn) : [];
}

async function fingerprint({ seed, world, evaluate, stages }: Recipe, stage: string): Promise<string> {
  const made = stages.slice(0, 1 + stages.findIndex(({ name }) => name === stage));
  const named = textsIn([made, evaluate]);
  // A model's folder changes with its weights.
  const files = named.flatMap((path) => [path, join(path, "model.safetensors")]);
  const stamps = await Promise.all([fileURLToPath(import.meta.url), ...files].map(stamp));
  const content = JSON.stringify({ seed, world, evaluate, made, stamps });
  return createHash("sha256").update(content).digest("hex").slice(0, 16);
}

/** The shared stages of the runs that lie in one folder with `dir`. */
export function sharedStages(dir: string, recipe: Recipe): SharedStages {
  const place = async (stage: string) => join(dirname(dir), ".shared", await fingerprint(recipe, stage));
  const isShared = (stage: string) => recipe.shared?.includes(stage) ?? false;
  return {
    async take(stage) {
      if (!isShared(stage)) return undefined;
      const from = await place(stage);
      if (!(await stat(from).catch(() => undefined))) return undefined;
      await rm(stageDir(dir, stage), { recursive: true, force: true });
      await cp(from, stageDir(dir, stage), { recursive: true });
      return from;
    },
    async leave(stage) {
      if (!isShared(stage)) return;
      const to = await place(stage);
      if (await stat(to).catch(() => undefined)) return;
      const whole = `${to}.${process.pid}`;
      await makeFolder(dirname(to));
      await cp(stageDir(dir, stage), whole, {
        recursive: true,
        filter: (path) => basename(path) !== "checkpoints",
      });
      // Another run may have been faster: then there is one already, and ours is not needed.
      await rename(whole, to).catch(() => rm(whole, { recursive: true, force: true }));
    },
  };
}
