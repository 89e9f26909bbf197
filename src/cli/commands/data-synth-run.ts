/** The work of `attune data synth`. */
import { readFile } from "node:fs/promises";
import { parse, YAMLParseError } from "yaml";
import { DataError } from "../../data/errors.ts";
import { type SynthShape, synthesize } from "../../data/synth.ts";
import { writeWhole } from "../../runs/write-whole.ts";
import type { Implementation } from "../command.ts";
import { refuseToReplace } from "./data-world-run.ts";

interface Options {
  readonly templates: string;
  readonly levels?: string;
  readonly n: number;
  readonly seed: number;
  readonly as: SynthShape;
  readonly output: string;
  readonly overwrite?: boolean;
}

export const runDataSynth: Implementation<Options> = async (context, options) => {
  const { templates, n, seed, as, output } = options;
  const input = parsed(await readTemplates(templates), templates);
  const levels = options.levels?.split(",").map((level) => level.trim());
  const rows = within(templates, () => synthesize(input, { n, seed, as, ...(levels && { levels }) }));
  if (!options.overwrite) await refuseToReplace([output]);
  await writeWhole(output, `${rows.map((row) => JSON.stringify(row)).join("\n")}\n`);
  context.result({ output, as, rows: rows.length, seed }, `${rows.length} rows of ${as} in ${output}`);
};

const readTemplates = (path: string): Promise<string> =>
  readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    const reason = error.code === "ENOENT" ? "there is no such file" : error.message;
    throw new DataError(`${path}: ${reason}; --templates takes a YAML or JSON file`, { cause: error });
  });

/** JSON is YAML too. */
function parsed(text: string, path: string): unknown {
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof YAMLParseError)) throw error;
    const line = error.linePos?.[0].line;
    throw new DataError(`${path}${line === undefined ? "" : `:${line}`}: ${error.message.split("\n")[0]}`, {
      cause: error,
    });
  }
}

/** Errors of the templates name their file. */
function within<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof DataError) throw new DataError(`${path}: ${error.message}`, { cause: error });
    throw error;
  }
}
