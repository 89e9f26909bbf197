/**
 * The `exports` of package.json: the package's own name (src/index.ts, which says what else there is), one subpath for
 * every room of src/ that has a public list (index.ts), `attune/ROOM`, and one for what the room has for Node or for browsers alone (node.ts, browser.ts), `attune/ROOM/node`.
 * `node scripts/exports.js` says what is missing or too much (exit 1), `--fix` writes it.
 */
import { existsSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";

const manifest = JSON.parse(readFileSync("package.json", "utf8"));
const rooms = readdirSync("src")
  .filter((room) => existsSync(`src/${room}/index.ts`))
  .sort();
/** @type {Record<string, string | { types: string, default: string }>} */
const wanted = {};
const entry = (/** @type {string} */ path) => ({
  types: `./dist/${path}.d.ts`,
  default: `./dist/${path}.js`,
});
wanted["."] = entry("index");
for (const room of rooms) {
  wanted[`./${room}`] = entry(`${room}/index`);
  for (const platform of ["browser", "node"])
    if (existsSync(`src/${room}/${platform}.ts`))
      wanted[`./${room}/${platform}`] = entry(`${room}/${platform}`);
}
wanted["./package.json"] = "./package.json";

if (JSON.stringify(manifest.exports) !== JSON.stringify(wanted)) {
  if (process.argv.includes("--fix")) {
    manifest.exports = wanted;
    // Whole or not at all: every other part of the check reads it at the same time.
    writeFileSync("package.json.new", `${JSON.stringify(manifest, null, 2)}\n`);
    renameSync("package.json.new", "package.json");
  } else {
    const has = Object.keys(manifest.exports ?? {});
    const missing = Object.keys(wanted).filter((path) => !has.includes(path));
    const extra = has.filter((path) => !(path in wanted));
    console.log(
      `error: the exports of package.json: missing ${missing.join(", ") || "nothing"}; ` +
        `without an index.ts ${extra.join(", ") || "none"}; else a path or the order (a to z) differs`,
    );
    process.exitCode = 1;
  }
}
