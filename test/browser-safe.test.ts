/** What a page imports has no Node in it: esbuild refuses `node:` modules for browsers. */
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { expect, it } from "vitest";

const entries = [
  "graph/browser",
  "graph/index",
  "models/browser",
  "generate/index",
  "optim/index",
  "reward/rules/index",
  "reward/remote",
];

it.each(entries)("src/%s.ts bundles for a browser", async (entry) => {
  const { errors } = await build({
    entryPoints: [fileURLToPath(new URL(`../src/${entry}.ts`, import.meta.url))],
    bundle: true,
    write: false,
    platform: "browser",
    format: "esm",
    logLevel: "silent",
  });
  expect(errors).toEqual([]);
});
