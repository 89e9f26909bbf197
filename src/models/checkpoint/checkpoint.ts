/**
 * Reads a model folder in the Hugging Face layout (Node): tensor by tensor and in pieces, so a file may be larger than
 * any one buffer. Writing is in checkpoint-write.ts.
 */
import { open, readdir, readFile, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import type { HostArray } from "../../graph/array.ts";
import type { ModelConfig } from "../config/config.ts";
import { parseConfig, withGenerationConfig } from "../config/config.ts";
import { CheckpointError } from "../errors.ts";
import { headerLength, parseHeader, tensorDecoder } from "./safetensors.ts";

export { checkTensors } from "./check-tensors.ts";
export type { CheckpointContents, WriteOptions } from "./checkpoint-write.ts";
export { writeCheckpoint } from "./checkpoint-write.ts";

type Json = Readonly<Record<string, unknown>>;

export interface Checkpoint {
  /** From config.json, with the ids of generation_config.json. */
  readonly config: ModelConfig;
  readonly rawConfig: Json;
  /** float16 and bfloat16 widened to float32; under the file's own names (see `checkTensors`). */
  readonly tensors: Record<string, HostArray>;
  readonly tokenizerJson?: Json;
  readonly tokenizerConfig?: Json;
  /** Jinja source: chat_template.jinja, or else `chat_template` of tokenizer_config.json. */
  readonly chatTemplate?: string;
  readonly generationConfig?: Json;
  /** The files that were read, with their folder. */
  readonly files: readonly string[];
}

const weightsFile = "model.safetensors";
const indexFile = "model.safetensors.index.json";

/**
 * Reads a model folder. `onProgress` is told the bytes of weights read so far, and all of them.
 * Throws `CheckpointError` for a missing, truncated or damaged file, and for folders that only hold pickled weights.
 */
export async function readCheckpoint(
  dir: string,
  { onProgress }: { onProgress?: (read: number, total: number) => void } = {},
): Promise<Checkpoint> {
  const names = await listFolder(dir);
  const files: string[] = [];
  const text = async (name: string): Promise<string | undefined> => {
    if (!names.has(name)) return undefined;
    files.push(join(dir, name));
    return readFile(join(dir, name), "utf8");
  };
  const json = async (name: string): Promise<Json | undefined> => {
    const source = await text(name);
    return source === undefined ? undefined : parseJson(source, join(dir, name));
  };

  const rawConfig = await json("config.json");
  if (rawConfig === undefined)
    throw new CheckpointError(`${dir}: config.json is missing: this is not a model folder`);
  const generationConfig = await json("generation_config.json");
  const parsed = parseConfig(rawConfig, join(dir, "config.json"));
  const config = generationConfig
    ? withGenerationConfig(parsed, generationConfig, join(dir, "generation_config.json"))
    : parsed;
  const tokenizerJson = await json("tokenizer.json");
  const tokenizerConfig = await json("tokenizer_config.json");
  const chatTemplate = (await text("chat_template.jinja")) ?? templateOf(tokenizerConfig);

  const weights = await weightFiles(dir, names, json);
  const sizes = await Promise.all(weights.map(async (name) => (await stat(join(dir, name))).size));
  const total = sizes.reduce((a, b) => a + b, 0);
  const tensors: Record<string, HostArray> = {};
  let before = 0;
  for (const [i, name] of weights.entries()) {
    files.push(join(dir, name));
    const read = await readTensors(join(dir, name), (bytes) => onProgress?.(before + bytes, total));
    for (const [key, array] of Object.entries(read)) {
      if (key in tensors)
        throw new CheckpointError(`${dir}: tensor ${key} is in two files, one of them ${name}`);
      tensors[key] = array;
    }
    before += sizes[i] as number;
  }
  return {
    config,
    rawConfig,
    tensors,
    tokenizerJson,
    tokenizerConfig,
    chatTemplate,
    generationConfig,
    files,
  };
}

async function listFolder(dir: string): Promise<Set<string>> {
  try {
    return new Set(await readdir(dir));
  } catch (cause) {
    const isFile = (cause as NodeJS.ErrnoException).code === "ENOTDIR";
    throw new CheckpointError(
      `${dir}: a model folder is required, ${isFile ? "this is a file" : "there is none"}`,
      {
        cause,
      },
    );
  }
}

export function parseJson(source: string, path: string): Json {
  let value: unknown;
  try {
    value = JSON.parse(source);
  } catch (cause) {
    throw new CheckpointError(
      `${path}: not JSON, the file is damaged or truncated: ${(cause as Error).message}`,
      {
        cause,
      },
    );
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new CheckpointError(`${path}: a JSON object is required`);
  return value as Json;
}

/** tokenizer_config.json holds one template, or a list of named ones, of which "default" counts. */
export function templateOf(config: Json | undefined): string | undefined {
  const template = config?.chat_template;
  if (typeof template === "string") return template;
  if (!Array.isArray(template)) return undefined;
  const named = template.find((entry) => entry?.name === "default");
  return typeof named?.template === "string" ? named.template : undefined;
}

async function weightFiles(
  dir: string,
  names: ReadonlySet<string>,
  json: (name: string) => Promise<Json | undefined>,
): Promise<string[]> {
  if (names.has(weightsFile)) return [weightsFile];
  const index = await json(indexFile);
  if (index === undefined) {
    const pickled = [...names].filter((name) => /\.(bin|pt|pth|ckpt)$/.test(name));
    if (pickled.length === 0)
      throw new CheckpointError(`${dir}: ${weightsFile} and ${indexFile} are missing`);
    throw new CheckpointError(
      `${dir}: the weights are only in ${pickled[0]}, a Python pickle, which can run code when it is opened: ` +
        "convert them with transformers, model.save_pretrained(folder, safe_serialization=True)",
    );
  }
  const map = index.weight_map;
  if (typeof map !== "object" || map === null)
    throw new CheckpointError(`${join(dir, indexFile)}: weight_map is missing`);
  const shards = [...new Set(Object.values(map))].sort();
  const wrong = shards.filter((name) => typeof name !== "string" || name !== basename(name));
  if (wrong.length > 0)
    throw new CheckpointError(
      `${join(dir, indexFile)}: ${JSON.stringify(wrong[0])} is not the name of a file`,
    );
  const absent = shards.filter((name) => !names.has(name));
  if (absent.length > 0)
    throw new CheckpointError(
      `${dir}: ${absent.length} of ${shards.length} shards are missing: ${absent.join(", ")}`,
    );
  return shards;
}

const pieceBytes = 64 * 2 ** 20;

/**
 * Reads all tensors of one safetensors file, in pieces of 64 MB. `onProgress` is told the bytes read so far.
 * Throws `CheckpointError` as `parseHeader` does, and when the file ends early.
 */
export async function readTensors(
  path: string,
  onProgress?: (bytes: number) => void,
): Promise<Record<string, HostArray>> {
  let file: Awaited<ReturnType<typeof open>>;
  try {
    file = await open(path);
  } catch (cause) {
    throw new CheckpointError(`${path}: cannot be opened: ${(cause as Error).message}`, { cause });
  }
  const fill = async (target: Uint8Array, position: number): Promise<void> => {
    for (let done = 0; done < target.length; ) {
      const { bytesRead } = await file.read(target, done, target.length - done, position + done);
      if (bytesRead === 0) throw new CheckpointError(`${path}: the file ends early, download it again`);
      done += bytesRead;
    }
    onProgress?.(position + target.length);
  };
  try {
    const { size } = await file.stat();
    const start = new Uint8Array(Math.min(8, size));
    await fill(start, 0);
    const json = new Uint8Array(headerLength(start, size, path));
    await fill(json, 8);
    const { entries } = parseHeader(json, size, path);
    const widest = Math.max(0, ...entries.map((entry) => entry.end - entry.begin));
    let buffer: Uint8Array | undefined;
    const tensors: Record<string, HostArray> = {};
    for (const entry of entries) {
      const decoder = tensorDecoder(entry, path);
      for (let at = entry.begin; at < entry.end; at += pieceBytes) {
        const length = Math.min(pieceBytes, entry.end - at);
        if (decoder.place) await fill(decoder.place(at - entry.begin, length), at);
        else {
          buffer ??= new Uint8Array(Math.min(pieceBytes, widest));
          const piece = buffer.subarray(0, length);
          await fill(piece, at);
          decoder.decode(piece, at - entry.begin);
        }
      }
      tensors[entry.name] = decoder.array;
    }
    return tensors;
  } finally {
    await file.close();
  }
}
