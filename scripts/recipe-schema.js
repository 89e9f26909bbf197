/**
 * The JSON Schemas of recipes, suites and studies for editors, made from the keys in src/recipe and src/lab.
 * `node scripts/recipe-schema.js` says whether the files have them as they are (exit 1 if not), `--fix` writes them.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { build } from "esbuild";

const schemas = {
  "recipes/recipe.schema.json": "recipeJsonSchema",
  "recipes/suites/suite.schema.json": "suiteJsonSchema",
  "recipes/study.schema.json": "studyJsonSchema",
};
const bundle = ".cache/recipe-schema.mjs";

mkdirSync(".cache", { recursive: true });
await build({
  stdin: {
    contents: `export { recipeJsonSchema } from "./recipe/json-schema.ts";
      export { suiteJsonSchema } from "./recipe/suite/suite.ts";
      export { studyJsonSchema } from "./lab/study/settings.ts";`,
    resolveDir: "src",
    loader: "ts",
  },
  bundle: true,
  platform: "node",
  format: "esm",
  packages: "external",
  outfile: bundle,
  logLevel: "warning",
});
const module = await import(pathToFileURL(bundle).href);
for (const [path, name] of Object.entries(schemas)) {
  const wanted = `${JSON.stringify(module[name](), null, 2)}\n`;
  let written = "";
  try {
    written = readFileSync(path, "utf8");
  } catch {}
  if (wanted === written) continue;
  if (process.argv.includes("--fix")) writeFileSync(path, wanted);
  else {
    console.log(
      `error: ${path} is not the schema of its keys; node scripts/recipe-schema.js --fix writes it`,
    );
    process.exitCode = 1;
  }
}
