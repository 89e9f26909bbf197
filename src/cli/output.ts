/** The folder that a command writes a model to: what is there is replaced only when that is asked for. */
import { readdir } from "node:fs/promises";
import type { Command } from "commander";
import { AttuneError } from "../graph/errors.ts";

export interface OutputOptions {
  readonly output: string;
  readonly overwrite?: boolean;
}

export const addOutputOptions = (command: Command, what: string): Command =>
  command
    .requiredOption("--output <dir>", what)
    .option("--overwrite", "replace the model that is in --output, with all its files");

const markers = ["config.json", "adapter_config.json", "onnx"];

/** @throws AttuneError when a model is there that is not to be overwritten; to be asked before the work begins */
export async function checkOutput({ output, overwrite = false }: OutputOptions): Promise<void> {
  if (overwrite) return;
  const names = await readdir(output).catch((): string[] => []); // what is no folder is refused when it is written
  if (markers.some((name) => names.includes(name)))
    throw new AttuneError(
      `${output}: a model is there already; choose another --output, or replace it with --overwrite`,
    );
}
