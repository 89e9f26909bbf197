/**
 * `npm run check`: format and lint, types, import order, package exports, README tree, recipe schema, file sizes; side by side, each with its own verdict.
 * `npm run check -- --fix` lets Biome repair what it can first.
 */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";

const fix = process.argv.includes("--fix");
const cruised = ["src", "bench", "test", "scripts"].filter((folder) => existsSync(folder));

/** What each part runs, and what to do when it fails. */
const parts = [
  {
    name: "format and lint",
    command: [
      "node_modules/@biomejs/biome/bin/biome",
      "check",
      "--error-on-warnings",
      ...(fix ? ["--write"] : []),
      ".",
    ],
    hint: "npm run check -- --fix repairs most of it",
  },
  {
    name: "types",
    command: ["node_modules/typescript/bin/tsc", "--pretty", "false"],
    hint: "the types above do not fit",
  },
  {
    name: "import order",
    command: [
      "node_modules/dependency-cruiser/bin/dependency-cruise.mjs",
      "--output-type",
      "err-long",
      ...cruised,
    ],
    hint: "rooms import downwards only; the table is in .dependency-cruiser.cjs",
  },
  {
    name: "package exports",
    command: ["scripts/exports.js", ...(fix ? ["--fix"] : [])],
    hint: "npm run check -- --fix writes them",
  },
  {
    name: "README tree",
    command: ["scripts/tree.js", ...(fix ? ["--fix"] : [])],
    hint: "npm run check -- --fix writes it from the files' headers",
  },
  {
    name: "recipe schema",
    command: ["scripts/recipe-schema.js", ...(fix ? ["--fix"] : [])],
    hint: "npm run check -- --fix writes it from the keys",
  },
  { name: "file sizes", command: ["scripts/file-sizes.js"], hint: "split the file by concept" },
];

/** @param {string[]} command @returns {Promise<{ code: number, output: string, seconds: number }>} */
function run(command) {
  const started = performance.now();
  return new Promise((resolve) => {
    const child = spawn(process.execPath, command, { stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    child.stdout.on("data", (chunk) => (output += chunk));
    child.stderr.on("data", (chunk) => (output += chunk));
    child.on("close", (code) =>
      resolve({ code: code ?? 1, output, seconds: (performance.now() - started) / 1000 }),
    );
  });
}

const verdicts = await Promise.all(
  parts.map(async ({ name, command, hint }) => {
    const { code, output, seconds } = await run(command);
    const said = output.trim();
    if (code !== 0 || /^warning:/m.test(said)) console.log(said);
    console.log(
      `${code === 0 ? "ok    " : "FAILED"} ${name} (${seconds.toFixed(1)} s)${code === 0 ? "" : `: ${hint}`}`,
    );
    return code === 0;
  }),
);
process.exitCode = verdicts.every(Boolean) ? 0 : 1;
