/** The engine of a command, from the global options. */
import type { Engine } from "../graph/index.ts";
import { createEngine } from "../graph/node.ts";
import type { CliContext } from "./context.ts";

export const openEngine = ({ provider, threads }: CliContext): Promise<Engine> =>
  createEngine({ provider, ...(threads !== undefined && { threads }) });
