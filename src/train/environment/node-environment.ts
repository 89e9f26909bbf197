/** An environment by name, or one that a module of the user's exports: TypeScript or JavaScript. */
import { type ModulePurpose, moduleFunction } from "../../reward/node-module.ts";
import { TrainError } from "../errors.ts";
import { checkedEnvironments } from "./checked.ts";
import { type ConversationOptions, conversation } from "./conversation.ts";
import type { MakeEnvironment } from "./environment.ts";

/** Environments in the box; a row each. */
export const environments: Readonly<Record<string, (options: object) => MakeEnvironment>> = {
  conversation: (options) => conversation(options as ConversationOptions),
};

const modules: ModulePurpose = {
  name: "environment",
  required: "a function that makes environments, as default export,",
  usual: ["default"],
  error: TrainError,
};

/**
 * What makes environments: `conversation`, or `./mine.ts#name`, a function without arguments that returns an
 * environment (without #: the default export). Environments are held to the protocol.
 *
 * @throws TrainError for an unknown name, and when the module cannot be read
 */
export async function openEnvironment(
  spec: string | MakeEnvironment,
  { options = {}, baseDir = "." }: { readonly options?: object; readonly baseDir?: string } = {},
): Promise<MakeEnvironment> {
  if (typeof spec === "function") return checkedEnvironments(spec, spec.name || "function");
  const known = environments[spec];
  if (known) return known(options);
  const [path, exported] = spec.split("#") as [string, string?];
  if (!/\.[cm]?[jt]s$/.test(path))
    throw new TrainError(
      `environment ${spec}: a module's path, or ${Object.keys(environments).join(", ")}, is required`,
    );
  const make = (await moduleFunction(path, modules, { exported, baseDir })) as MakeEnvironment;
  return checkedEnvironments(make, spec);
}
