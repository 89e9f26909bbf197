/** The work of `attune data world`. */
import { access } from "node:fs/promises";
import { join } from "node:path";
import { worldFiles } from "../../data/world/files.ts";
import { createWorld } from "../../data/world/world.ts";
import { AttuneError } from "../../graph/errors.ts";
import { makeFolder } from "../../runs/make-folder.ts";
import { writeWhole } from "../../runs/write-whole.ts";
import type { Implementation } from "../command.ts";

interface Options {
  readonly output: string;
  readonly seed: number;
  readonly pretrain: number;
  readonly sft: number;
  readonly preferences: number;
  readonly rankings: number;
  readonly ratings: number;
  readonly prompts: number;
  readonly arithmetic: number;
  readonly sums: number;
  readonly heldOut: number;
  readonly noise: number;
  readonly ties?: boolean;
  readonly margins?: boolean;
  readonly axes?: boolean;
  readonly overwrite?: boolean;
}

export const runDataWorld: Implementation<Options> = async (context, options) => {
  const { output, seed, noise } = options;
  const files = worldFiles(createWorld({ seed }), options);
  await makeFolder(output);
  if (!options.overwrite) await refuseToReplace(files.map(({ name }) => join(output, `${name}.jsonl`)));
  const written: Record<string, { path: string; rows: number }> = {};
  for (const { name, make } of files) {
    context.signal.throwIfAborted();
    const made = make();
    if (made.length === 0) continue;
    const path = join(output, `${name}.jsonl`);
    await writeWhole(path, `${made.map((row) => JSON.stringify(row)).join("\n")}\n`);
    written[name] = { path, rows: made.length };
  }
  const lines = Object.values(written).map(({ path, rows }) => `${String(rows).padStart(8)} rows  ${path}`);
  context.result({ output, seed, noise, files: written }, lines.join("\n"));
};

/** @throws AttuneError when one of the files is there */
export async function refuseToReplace(paths: readonly string[]): Promise<void> {
  for (const path of paths)
    if (
      await access(path).then(
        () => true,
        () => false,
      )
    )
      throw new AttuneError(`${path} is there already; choose another --output, or --overwrite replaces it`);
}
