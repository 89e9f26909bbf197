/**
 * File sizes: a source file above 400 lines is getting crowded (a warning), above 700 it must be split (exit 1).
 * Generated files (`*.gen.ts`) do not count. `node scripts/file-sizes.js [root]`
 */
import { readdirSync, readFileSync } from "node:fs";
import { join, relative, sep } from "node:path";

const warnAt = 400;
const failAt = 700;
const rooms = ["src", "bin", "scripts", "bench", "test", "studio"];
const skipped = new Set(["node_modules", "dist", "golden"]);

/** @param {string} folder @returns {string[]} */
function sourceFiles(folder) {
  let entries;
  try {
    entries = readdirSync(folder, { withFileTypes: true });
  } catch {
    return []; // a room that does not exist yet
  }
  return entries.flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return skipped.has(entry.name) ? [] : sourceFiles(path);
    return /\.(ts|tsx|js|mjs|cjs|py)$/.test(entry.name) && !/\.gen\./.test(entry.name) ? [path] : [];
  });
}

const root = process.argv[2] ?? ".";
let failed = 0;
for (const path of rooms.flatMap((room) => sourceFiles(join(root, room)))) {
  const lines = readFileSync(path, "utf8").split("\n").length - 1;
  if (lines <= warnAt) continue;
  const name = relative(root, path).split(sep).join("/");
  const over = lines > failAt;
  if (over) failed++;
  console.log(
    over
      ? `error: ${name} has ${lines} lines, the limit is ${failAt}: split it by concept`
      : `warning: ${name} has ${lines} lines, more than ${warnAt}: it is getting crowded`,
  );
}
process.exitCode = failed > 0 ? 1 : 0;
