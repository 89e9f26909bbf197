/** A function that a module of the user's exports, a reward or another: TypeScript or JavaScript, on every Node. */
import { existsSync } from "node:fs";
import * as nodeModule from "node:module";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { AttuneError } from "../graph/errors.ts";
import { nearest } from "../graph/nearest.ts";
import { type Reward, RewardError } from "./reward.ts";

/** What a module is read for, as messages name it. */
export interface ModulePurpose {
  readonly name: string;
  /** What it has to export when no name is given. */
  readonly required: string;
  /** The exports that are then looked for, the first of them first. */
  readonly usual: readonly string[];
  readonly error: new (message: string, options?: ErrorOptions) => AttuneError;
}

const rewards: ModulePurpose = {
  name: "reward",
  required: "a function as default export, or under the name reward,",
  usual: ["default", "reward"],
  error: RewardError,
};

/**
 * The reward that a module exports.
 *
 * @param exported its name; by default the default export, or `reward`
 * @throws RewardError when there is no such file or export, or the module cannot be read
 */
export const moduleReward = async (path: string, exported?: string, baseDir = "."): Promise<Reward> =>
  (await moduleFunction(path, rewards, { exported, baseDir })) as Reward;

/**
 * The function that a module exports, whatever it is for.
 *
 * @throws the purpose's error when there is no such file or export, or the module cannot be read
 */
export async function moduleFunction(
  path: string,
  { name: what, required, usual, error: ModuleError }: ModulePurpose,
  { exported, baseDir = "." }: { readonly exported?: string | undefined; readonly baseDir?: string } = {},
): Promise<unknown> {
  const file = resolve(baseDir, path);
  if (!existsSync(file)) throw new ModuleError(`${what} ${path}: no such file (${file})`);
  if (/\.m?ts$/.test(file)) eraseTypes();
  let module: Record<string, unknown>;
  try {
    module = (await import(pathToFileURL(file).href)) as Record<string, unknown>;
  } catch (cause) {
    if (cause instanceof AttuneError) throw cause;
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new ModuleError(`${what} ${path}: the module cannot be loaded: ${message}`, { cause });
  }
  const names = Object.keys(module).filter((name) => typeof module[name] === "function");
  const name = exported ?? usual.find((usual) => names.includes(usual));
  if (name === undefined || !names.includes(name)) {
    const meant = name === undefined ? names[0] : nearest(name, names);
    throw new ModuleError(
      `${what} ${path}: ${exported === undefined ? required : `an exported function ${exported}`} is required, ` +
        `${names.length === 0 ? "there is none" : `it exports ${names.join(", ")}`}${meant === undefined ? "" : `; name one: ${path}#${meant}`}`,
    );
  }
  return module[name];
}

const hooks = new URL("./node-type-hooks.js", import.meta.url);
let isErasing = false;

/** Node before 22.18 gets module hooks, once. Where Attune runs from its source, a loader of TypeScript is there already. */
function eraseTypes(): void {
  const { typescript } = process.features as { typescript?: unknown };
  if (isErasing || typescript || !existsSync(hooks)) return;
  isErasing = true;
  nodeModule.register(hooks);
}
