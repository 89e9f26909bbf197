#!/usr/bin/env node
// The `attune` command. An installed package has dist/ and no scripts/; a checkout builds dist/ when it is stale.
import { existsSync } from "node:fs";
import * as nodeModule from "node:module";

// from Node 22.8: compiled code is kept between starts
nodeModule.enableCompileCache?.();

const build = new URL("../scripts/build.js", import.meta.url);
try {
  if (existsSync(build)) (await import(build.href)).buildWhenStale();
} catch (error) {
  process.stderr.write(`attune: ${error instanceof Error ? error.message : error}\n`);
  process.exit(1);
}
const { main } = await import("../dist/cli/main.js");
await main(process.argv.slice(2));
