/** The work of `attune data world`. */
import { access, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { createWorld } from "../data/world/world.ts";
import { AttuneError } from "../graph/errors.ts";
import { writeWhole } from "../runs/write-whole.ts";
import type { Implementation } from "./command.ts";

interface Options {
  readonly output: string;
  readonly seed: number;
  readonly pretrain: number;
  readonly sft: number;
  readonly preferences: number;
  readonly rankings: number;
  readonly ratings: number;
  readonly prompts: number;
  readonly heldOut: number;
  readonly noise: number;
  readonly ties?: boolean;
  readonly margins?: boolean;
  readonly overwrite?: boolean;
}

export const runDataWorld: Implementation<Options> = async (context, options) => {
  const { output, seed, heldOut, noise, ties = false, margins = false } = options;
  const world = createWorld({ seed });
  const split = "held-out";
  const files: readonly { readonly name: string; readonly rows: () => readonly object[] }[] = [
    { name: "pretrain", rows: () => world.corpus(options.pretrain) },
    { name: "sft", rows: () => world.demonstrations(options.sft) },
    { name: "preferences", rows: () => world.preferences(options.preferences, { noise, ties, margins }) },
    { name: "rankings", rows: () => world.rankings(options.rankings) },
    { name: "ratings", rows: () => world.ratings(options.ratings) },
    { name: "prompts", rows: () => world.prompts(options.prompts) },
    { name: "held-out", rows: () => world.prompts(heldOut, { split }) },
    { name: "sft-held-out", rows: () => world.demonstrations(heldOut, { split }) },
    { name: "preferences-held-out", rows: () => world.preferences(heldOut, { split }) },
  ];
  await mkdir(output, { recursive: true });
  if (!options.overwrite) await refuseToReplace(files.map(({ name }) => join(output, `${name}.jsonl`)));
  const written: Record<string, { path: string; rows: number }> = {};
  for (const { name, rows } of files) {
    context.signal.throwIfAborted();
    const made = rows();
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
