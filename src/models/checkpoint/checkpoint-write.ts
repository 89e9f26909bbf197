/** Writes a model folder in the Hugging Face layout (Node), atomically. */
import { join } from "node:path";
import type { HostArray } from "../../graph/array.ts";
import type { ModelConfig } from "../config/config.ts";
import { replaceFolder, writePieces, writeText } from "../folder-write.ts";
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
  const bytes = Object.values(contents.tensors).reduce((sum, array) => sum + storedBytes(array, dtype), 0);
  await replaceFolder(dir, { what: "a model", marker: "config.json", ownFiles, bytes }, async (fresh) => {
    await writeWeights(fresh, contents.tensors, dtype, maxShardBytes);
    await writeTextFiles(fresh, contents, dtype);
  });
}

/** Writes those of configuration, tokenizer and templates that are given into a folder that is there. */
export async function writeTextFiles(
  dir: string,
  contents: Partial<CheckpointContents>,
  dtype: FloatFormat,
): Promise<void> {
  for (const [name, text] of Object.entries(textFiles(contents, dtype)))
    if (text !== undefined) await writeText(join(dir, name), text);
}

function textFiles(
  contents: Partial<CheckpointContents>,
  dtype: FloatFormat,
): Record<string, string | undefined> {
  const { config, tokenizerConfig, chatTemplate } = contents;
  const json = (value: unknown) => (value === undefined ? undefined : toJson(value));
  // Readers differ in which template they prefer, so the two places must agree.
  const isDouble = chatTemplate !== undefined && typeof tokenizerConfig?.chat_template === "string";
  return {
    // transformers 5 reads `dtype`, 4 reads `torch_dtype`.
    "config.json": config && toJson({ ...config.raw, dtype, torch_dtype: dtype }),
    "generation_config.json": json(contents.generationConfig),
    "tokenizer.json": json(contents.tokenizerJson),
    "tokenizer_config.json": json(
      isDouble ? { ...tokenizerConfig, chat_template: chatTemplate } : tokenizerConfig,
    ),
    "chat_template.jinja": chatTemplate,
  };
}

/** JSON whose huge integers stay integers: 1e30 (a tokenizer without limit) would read as a float in Python. */
export function toJson(value: unknown): string {
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
  await writeText(
    join(dir, "model.safetensors.index.json"),
    toJson({ metadata: { total_size }, weight_map: map }),
  );
}
