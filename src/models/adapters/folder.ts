/** Adapter folders in the layout of PEFT (Node): adapter_config.json and adapter_model.safetensors. */
import { readdir, readFile, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { parseJson, readTensors, templateOf } from "../checkpoint/checkpoint.ts";
import { toJson, writeTextFiles } from "../checkpoint/checkpoint-write.ts";
import { encodeSafetensors, type FloatFormat, storedBytes } from "../checkpoint/safetensors.ts";
import type { ModelConfig } from "../config/config.ts";
import { CheckpointError } from "../errors.ts";
import { folderOfModel } from "../folder.ts";
import { replaceFolder, writePieces, writeText } from "../folder-write.ts";
import type { Adapter } from "./lora.ts";
import { adapterConfigJson, fromPeftNames, parseAdapterConfig, toPeftNames } from "./peft.ts";

type Json = Readonly<Record<string, unknown>>;

const configFile = "adapter_config.json";
const weightsFile = "adapter_model.safetensors";

/** Files of an adapter folder, which do not outlive its replacement. */
const ownFiles =
  /^(adapter_(config\.json|model\..*)|tokenizer.*|chat_template\.jinja|generation_config\.json|special_tokens_map\.json)$/;

const isFolder = (path: string): Promise<boolean> =>
  stat(path).then(
    (s) => s.isDirectory(),
    () => false,
  );

/** Whether a folder holds an adapter and not a whole model. */
export async function isAdapterFolder(dir: string): Promise<boolean> {
  const names = await readdir(dir).catch((): string[] => []);
  return (
    names.includes(configFile) && !names.some((name) => /^model.*\.safetensors(\.index\.json)?$/.test(name))
  );
}

/** An adapter folder as read; its own tokenizer, template and generation settings win over those of the base. */
export interface AdapterFolder extends AdapterTexts {
  readonly adapter: Adapter;
  /** The model that it adapts: a folder or a hub id. */
  readonly base?: string;
}

interface AdapterTexts {
  readonly tokenizerJson?: Json;
  readonly tokenizerConfig?: Json;
  readonly chatTemplate?: string;
  readonly generationConfig?: Json;
}

/**
 * Reads an adapter. A base that is a relative path is looked for where PEFT does, below the working directory, and then
 * below the adapter's own folder.
 *
 * @throws CheckpointError for missing and damaged files, and for options that are not supported
 */
export async function readAdapter(dir: string): Promise<AdapterFolder> {
  const names = await readdir(dir).catch((): string[] => []);
  for (const [name, what] of [
    [configFile, "this is not an adapter folder"],
    [weightsFile, "adapters in other formats can run code when they are opened, convert it with PEFT"],
  ] as const)
    if (!names.includes(name)) throw new CheckpointError(`${dir}: ${name} is missing: ${what}`);
  const text = async (name: string) => (names.includes(name) ? readFile(join(dir, name), "utf8") : undefined);
  const json = async (name: string): Promise<Json | undefined> => {
    const source = await text(name);
    return source === undefined ? undefined : parseJson(source, join(dir, name));
  };
  const { config, base } = parseAdapterConfig((await json(configFile)) as Json, join(dir, configFile));
  const parameters = fromPeftNames(await readTensors(join(dir, weightsFile)), join(dir, weightsFile));
  const beside = base === undefined || (await isFolder(base)) ? undefined : resolve(dir, base);
  const found = beside !== undefined && (await isFolder(beside)) ? beside : base;
  const tokenizerJson = await json("tokenizer.json");
  const tokenizerConfig = await json("tokenizer_config.json");
  const generationConfig = await json("generation_config.json");
  const chatTemplate = (await text("chat_template.jinja")) ?? templateOf(tokenizerConfig);
  return {
    adapter: { config, parameters },
    ...(found !== undefined && { base: found }),
    ...(tokenizerJson && { tokenizerJson }),
    ...(tokenizerConfig && { tokenizerConfig }),
    ...(chatTemplate !== undefined && { chatTemplate }),
    ...(generationConfig && { generationConfig }),
  };
}

export interface AdapterContents extends AdapterTexts {
  readonly adapter: Adapter;
  /** The configuration of the base. */
  readonly config: ModelConfig;
  /** Folder or hub id of the base. */
  readonly base: string;
}

/**
 * Writes an adapter folder that PEFT loads, from any working directory: a base that is a folder is named by its absolute
 * path, down to the folder that holds the model. An existing adapter is replaced when the new one is complete.
 *
 * @throws CheckpointError when `dir` holds something else, or the disk is full; nothing has changed then
 */
export async function writeAdapter(
  dir: string,
  { adapter, config, base, ...files }: AdapterContents,
  { dtype = "float32" }: { dtype?: FloatFormat } = {},
): Promise<void> {
  const bytes = Object.values(adapter.parameters).reduce((sum, array) => sum + storedBytes(array, dtype), 0);
  const from = (await isFolder(base)) ? resolve(await folderOfModel(base)) : base;
  await replaceFolder(dir, { what: "an adapter", marker: configFile, ownFiles, bytes }, async (fresh) => {
    const tensors = toPeftNames(adapter.parameters);
    await writePieces(join(fresh, weightsFile), encodeSafetensors(tensors, { dtype }));
    await writeText(join(fresh, configFile), toJson(adapterConfigJson(adapter, config, from)));
    await writeTextFiles(fresh, files, dtype);
  });
}
