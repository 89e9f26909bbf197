/**
 * Data sets on the Hugging Face hub (Node): `org/name[@revision][:split]` to the files of the split, downloaded once
 * and kept in the hub's cache.
 *
 * A split is known by its name in the files' paths, as the hub's own loader guesses it: data/train-00000-of-00002.parquet,
 * train.jsonl, helpful-base/train.jsonl.gz. It may name folders too (`:helpful-base/train`). Without a split, `train` is
 * taken where there is one, else every file.
 */
import { readdir } from "node:fs/promises";
import { join, sep } from "node:path";
import { type ResolveModelOptions, resolveRepository } from "../models/checkpoint/hub.ts";
import { DataError } from "./errors.ts";
import { isDataFile } from "./node-files.ts";

export interface DatasetName {
  readonly id: string;
  readonly revision?: string;
  readonly split?: string;
}

/** The parts of a name on the hub; undefined for what can only be a file. */
export function datasetName(name: string): DatasetName | undefined {
  const match = /^(\w[\w.-]*\/[\w.-]+)(?:@([\w./-]+))?(?::([\w./-]+))?$/.exec(name);
  if (match === null || isDataFile(name)) return undefined;
  const [, id = "", revision, split] = match;
  return { id, ...(revision !== undefined && { revision }), ...(split !== undefined && { split }) };
}

/**
 * The files of a data set, in order.
 *
 * @throws CheckpointError for what the hub refuses, DataError when no file belongs to the split
 */
export async function datasetFiles(
  { id, revision, split }: DatasetName,
  options: ResolveModelOptions = {},
): Promise<string[]> {
  const snapshot = await resolveRepository(
    {
      type: "dataset",
      called: "data set",
      wanted(entries) {
        const files = entries.filter(({ type }) => type === "file");
        const chosen = new Set(
          filesOfSplit(
            files.map(({ path }) => path),
            id,
            split,
          ),
        );
        return files.filter(({ path }) => chosen.has(path));
      },
      missing: async (folder) => missingShards(filesOfSplit(await pathsIn(folder), id, split)),
    },
    id,
    { ...options, ...(revision !== undefined && { revision }) },
  );
  return filesOfSplit(await pathsIn(snapshot), id, split).map((path) => join(snapshot, path));
}

const pathsIn = async (folder: string): Promise<string[]> =>
  (await readdir(folder, { recursive: true })).map((path) => path.split(sep).join("/"));

/** Of a split, the files that hold its rows; Parquet goes before other forms of the same rows. */
export function filesOfSplit(paths: readonly string[], id: string, split?: string): string[] {
  const data = paths.filter(
    (path) => isDataFile(path) && !/(^|\/)(\.|dataset_infos?\.json|.*config\.json)/.test(path),
  );
  const splitFiles = (name: string) => {
    const parts = name.split("/").map((part) => part.replace(/[.]/g, "\\."));
    const pattern = new RegExp(`(^|[/._-])${parts.join("([._-][^/]*)?/")}([/._-]|$)`, "i");
    return data.filter((path) => pattern.test(path));
  };
  const train = split === undefined ? splitFiles("train") : [];
  const chosen = split === undefined ? (train.length > 0 ? train : data) : splitFiles(split);
  if (chosen.length === 0)
    throw new DataError(
      data.length === 0
        ? `${id}: the data set has no file that is read (.parquet, .jsonl, .json, .csv, .tsv or .txt)`
        : `${id}: no file of the split ${split}; there are ${data.slice(0, 5).join(", ")}${data.length > 5 ? ` and ${data.length - 5} more` : ""}`,
    );
  const parquet = chosen.filter((path) => path.endsWith(".parquet"));
  return (parquet.length > 0 ? parquet : chosen).sort();
}

/** Shards that are numbered in files that are there, and are not. */
function missingShards(paths: readonly string[]): string[] {
  const missing: string[] = [];
  for (const path of paths) {
    const [, before, , of, after] = /^(.*-)(\d{5})-of-(\d{5})(.*)$/.exec(path) ?? [];
    for (let i = 0; i < Number(of ?? 0); i++) {
      const shard = `${before}${String(i).padStart(5, "0")}-of-${of}${after}`;
      if (!paths.includes(shard) && !missing.includes(shard)) missing.push(shard);
    }
  }
  return missing;
}
