/**
 * Writes a model folder in the Hugging Face layout (Node).
 *
 * Writing is atomic: everything goes into a temporary folder beside the target, which takes the target's place only
 * when it is complete, so a full disk or a crash leaves the old folder as it was.
 */
import { cp, mkdir, open, readdir, realpath, rename, rm, statfs } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import type { HostArray } from "../graph/array.ts";
import type { ModelConfig } from "./config.ts";
import { CheckpointError } from "./errors.ts";
import type { FloatFormat } from "./safetensors.ts";
import { encodeSafetensors, storedBytes } from "./safetensors.ts";

type Json = Readonly<Record<string, unknown>>;

/** What `writeCheckpoint` stores: a checkpoint as read, or one made from parts. */
export interface CheckpointContents {
  readonly config: ModelConfig;
  readonly tensors: Readonly<Record<string, HostArray>>;
  readonly tokenizerJson?: Json;
  readonly tokenizerConfig?: Json;
  readonly chatTemplate?: string;
  readonly generationConfig?: Json;
}

export interface WriteOptions {
  /** How float32 weights are stored. */
  readonly dtype?: FloatFormat;
  /** Weights beyond this size are split into shards with an index. A single larger tensor is a shard of its own. */
  readonly maxShardBytes?: number;
}

/** Files that a checkpoint consists of: they do not outlive the checkpoint that they belong to. */
const ownFiles =
  /^(config\.json|generation_config\.json|model.*\.safetensors(\.index\.json)?|pytorch_model.*|tokenizer.*|chat_template\.jinja|special_tokens_map\.json|added_tokens\.json|vocab\.(json|txt)|merges\.txt)$/;

/**
 * Writes a model folder that `transformers` loads. An existing model folder is replaced when the new one is complete;
 * files in it that are no part of a checkpoint (a README, say) are kept.
 * Throws `CheckpointError` when `dir` exists and is something else, or when the disk is full; nothing has changed then.
 */
export async function writeCheckpoint(
  dir: string,
  contents: CheckpointContents,
  { dtype = "float32", maxShardBytes = 5e9 }: WriteOptions = {},
): Promise<void> {
  const target = await realpath(dir).catch(() => resolve(dir));
  const kept = await filesToKeep(target, dir);
  const parent = dirname(target);
  await mkdir(parent, { recursive: true });
  const unique = `${process.pid}-${Math.random().toString(36).slice(2, 10)}`;
  const fresh = join(parent, `.${basename(target)}.new-${unique}`);
  try {
    await checkSpace(parent, contents, dtype);
    await mkdir(fresh);
    for (const name of kept) await cp(join(target, name), join(fresh, name), { recursive: true });
    await writeWeights(fresh, contents.tensors, dtype, maxShardBytes);
    for (const [name, text] of Object.entries(textFiles(contents, dtype)))
      if (text !== undefined) await writePieces(join(fresh, name), [new TextEncoder().encode(text)]);
    await swap(fresh, target, join(parent, `.${basename(target)}.old-${unique}`));
  } catch (error) {
    await rm(fresh, { recursive: true, force: true });
    const { code, message } = error as NodeJS.ErrnoException;
    if (error instanceof CheckpointError || code === undefined) throw error;
    const reason = code === "ENOSPC" ? "the disk is full" : message;
    throw new CheckpointError(`${dir}: the checkpoint could not be written: ${reason}; nothing was changed`, {
      cause: error,
    });
  }
}

/** Refuses to replace what is not a model folder, and lists what must survive the replacement of one that is. */
async function filesToKeep(target: string, dir: string): Promise<string[]> {
  const names = await readdir(target).catch((error: NodeJS.ErrnoException): string[] => {
    if (error.code === "ENOENT") return [];
    throw new CheckpointError(`${dir}: a checkpoint is a folder, and this is not one`, { cause: error });
  });
  if (names.length > 0 && !names.includes("config.json"))
    throw new CheckpointError(
      `${dir}: the folder holds something else than a model: choose another or empty it`,
    );
  return names.filter((name) => !ownFiles.test(name));
}

async function checkSpace(
  parent: string,
  { tensors }: CheckpointContents,
  dtype: FloatFormat,
): Promise<void> {
  const needed = Object.values(tensors).reduce((sum, array) => sum + storedBytes(array, dtype), 0);
  const { bavail, bsize } = await statfs(parent);
  if (needed > bavail * bsize)
    throw new CheckpointError(
      `${parent}: the disk is full: the checkpoint needs ${megabytes(needed)}, ${megabytes(bavail * bsize)} are free; nothing was changed`,
    );
}

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;

function textFiles(contents: CheckpointContents, dtype: FloatFormat): Record<string, string | undefined> {
  const { config, tokenizerConfig, chatTemplate } = contents;
  const json = (value: unknown) => (value === undefined ? undefined : toJson(value));
  // Readers differ in which template they prefer, so the two places must agree.
  const isDouble = chatTemplate !== undefined && typeof tokenizerConfig?.chat_template === "string";
  return {
    // transformers 5 reads `dtype`, 4 reads `torch_dtype`.
    "config.json": json({ ...config.raw, dtype, torch_dtype: dtype }),
    "generation_config.json": json(contents.generationConfig),
    "tokenizer.json": json(contents.tokenizerJson),
    "tokenizer_config.json": json(
      isDouble ? { ...tokenizerConfig, chat_template: chatTemplate } : tokenizerConfig,
    ),
    "chat_template.jinja": chatTemplate,
  };
}

/** JSON whose huge integers stay integers: 1e30 (a tokenizer without limit) would read as a float in Python. */
function toJson(value: unknown): string {
  const marked = (_: string, x: unknown) =>
    typeof x === "number" && Math.abs(x) >= 1e21 && Number.isInteger(x) ? `\u0001${BigInt(x)}\u0001` : x;
  return `${JSON.stringify(value, marked, 2).replace(/"\\u0001(-?\d+)\\u0001"/g, "$1")}\n`;
}

async function writeWeights(
  dir: string,
  tensors: Readonly<Record<string, HostArray>>,
  dtype: FloatFormat,
  maxShardBytes: number,
): Promise<void> {
  const shards: { bytes: number; tensors: Record<string, HostArray> }[] = [];
  for (const [name, array] of Object.entries(tensors)) {
    const bytes = storedBytes(array, dtype);
    const last = shards.at(-1);
    if (last === undefined || last.bytes + bytes > maxShardBytes)
      shards.push({ bytes, tensors: { [name]: array } });
    else {
      last.bytes += bytes;
      last.tensors[name] = array;
    }
  }
  if (shards.length <= 1)
    return writePieces(join(dir, "model.safetensors"), encodeSafetensors(tensors, { dtype }));
  const map: Record<string, string> = {};
  const digits = (n: number) => String(n).padStart(5, "0");
  for (const [i, shard] of shards.entries()) {
    const name = `model-${digits(i + 1)}-of-${digits(shards.length)}.safetensors`;
    for (const key of Object.keys(shard.tensors)) map[key] = name;
    await writePieces(join(dir, name), encodeSafetensors(shard.tensors, { dtype }));
  }
  const total_size = shards.reduce((sum, shard) => sum + shard.bytes, 0);
  await writePieces(join(dir, "model.safetensors.index.json"), [
    new TextEncoder().encode(toJson({ metadata: { total_size }, weight_map: map })),
  ]);
}

/** Writes the pieces one after the other and waits until they are on the disk. */
async function writePieces(path: string, pieces: Iterable<Uint8Array>): Promise<void> {
  const file = await open(path, "wx");
  try {
    for (const piece of pieces)
      for (let done = 0; done < piece.length; )
        done += (await file.write(piece, done, piece.length - done)).bytesWritten;
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Puts `fresh` in the place of `target`; the old folder returns when that fails. */
async function swap(fresh: string, target: string, aside: string): Promise<void> {
  const isReplacing = await rename(target, aside).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return false;
      throw error;
    },
  );
  try {
    await rename(fresh, target);
  } catch (error) {
    if (isReplacing) await rename(aside, target);
    throw error;
  }
  if (isReplacing) await rm(aside, { recursive: true, force: true });
}
