/**
 * recipes/recipe.schema.json, the JSON Schema of recipes for editors, made from the keys in src/recipe.
 * `node scripts/recipe-schema.js` says whether the file has it as it is (exit 1 if not), `--fix` writes it.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { build } from "esbuild";

const path = "recipes/recipe.schema.json";
const bundle = ".cache/recipe-schema.mjs";

mkdirSync(".cache", { recursive: true });
await build({
  entryPoints: ["src/recipe/json-schema.ts"],
  bundle: true,
  platform: "node",
  format: "esm",
  packages: "external",
  outfile: bundle,
  logLevel: "warning",
});
const { recipeJsonSchema } = await import(pathToFileURL(bundle).href);
const wanted = `${JSON.stringify(recipeJsonSchema(), null, 2)}\n`;
let written = "";
try {
  written = readFileSync(path, "utf8");
} catch {}
if (wanted !== written) {
  if (process.argv.includes("--fix")) writeFileSync(path, wanted);
  else {
    console.log(
      `error: ${path} is not the schema of src/recipe; node scripts/recipe-schema.js --fix writes it`,
    );
    process.exitCode = 1;
  }
}
