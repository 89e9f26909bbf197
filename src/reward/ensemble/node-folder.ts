/**
 * The folder of an ensemble whose members are models of their own: `ensemble.json` names them and how their scores are
 * combined; each is the folder of a run, or a model folder, that transformers reads too.
 *
 *     judge/ensemble.json     {"members": ["members/1", "members/2"], "combine": "uwo", "lambda": 0.5}
 *     judge/members/1/model   config.json, model.safetensors, ...
 */
import { existsSync } from "node:fs";
import { readFile, rename, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { z } from "zod";
import { RewardError } from "../reward.ts";
import { type CombineOptions, combinations } from "./combine.ts";

export const ensembleFile = "ensemble.json";

/** How an ensemble's scores are combined when nothing else is asked for, as its file says. */
export const combineSchema = z.object({
  combine: z.enum(combinations).optional(),
  lambda: z.number().min(0).optional(),
});

const schema = combineSchema.extend({ members: z.array(z.string().min(1)).min(2) });

export interface EnsembleFolder extends CombineOptions {
  /** Folders of the members. */
  readonly members: readonly string[];
}

/** Whether a folder is that of an ensemble. */
export const isEnsemble = (dir: string): boolean => existsSync(join(dir, ensembleFile));

/**
 * Reads what an ensemble is made of.
 *
 * @throws RewardError when the file is not what it should be
 */
export async function readEnsemble(dir: string): Promise<EnsembleFolder> {
  const path = join(dir, ensembleFile);
  let content: unknown;
  try {
    content = JSON.parse(await readFile(path, "utf8"));
  } catch (cause) {
    throw new RewardError(`${path}: JSON is required; train the ensemble again, or correct it`, { cause });
  }
  const { success, data, error } = schema.safeParse(content);
  if (!success) {
    const [issue] = error.issues;
    throw new RewardError(`${path}: ${issue?.path.join(".") || "the file"}: ${issue?.message}`);
  }
  return { ...data, members: data.members.map((member) => resolve(dir, member)) };
}

/** Writes the file of an ensemble; members are paths below its folder. */
export async function writeEnsemble(dir: string, ensemble: EnsembleFolder): Promise<void> {
  const path = join(dir, ensembleFile);
  await writeFile(`${path}.new`, `${JSON.stringify(ensemble, null, 2)}\n`);
  await rename(`${path}.new`, path);
}
