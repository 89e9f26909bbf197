/** The loader hooks behind register-ts.js: they erase the types of `.ts` modules outside node_modules. */
import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { transform, transformSync } from "esbuild";

/** @param {string} url */
const isOurs = (url) => /^file:.*\.ts(\?|$)/.test(url) && !url.includes("/node_modules/");

/** @param {string} url @returns {import("esbuild").TransformOptions} */
const options = (url) => ({
  loader: "ts",
  format: "esm",
  target: "es2023",
  sourcefile: fileURLToPath(url),
  sourcemap: "inline",
  tsconfigRaw: { compilerOptions: { verbatimModuleSyntax: true } },
});

/** @param {string} source */
const asModule = (source) => ({ format: /** @type {const} */ ("module"), source, shortCircuit: true });

/** @type {import("node:module").LoadHook} */
export async function load(url, context, next) {
  if (!isOurs(url)) return next(url, context);
  return asModule((await transform(await readFile(fileURLToPath(url), "utf8"), options(url))).code);
}

/** @param {string} url @param {unknown} context @param {(url: string, context: unknown) => unknown} next */
export function loadSync(url, context, next) {
  if (!isOurs(url)) return next(url, context);
  return asModule(transformSync(readFileSync(fileURLToPath(url), "utf8"), options(url)).code);
}
