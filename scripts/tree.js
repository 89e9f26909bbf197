/**
 * The annotated tree of the README: every source file with the first phrase of its header.
 * `node scripts/tree.js` says whether the README has it as it is (exit 1 if not), `--fix` writes it.
 */
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";

const files = execFileSync("git", ["ls-files", "-co", "--exclude-standard", "src/*.ts"], { encoding: "utf8" })
  .split("\n")
  .filter((file) => file && !/\.(test|fixture|gen)\.ts$/.test(file))
  .sort();

const longest = 100;

/** The header's first sentence, up to its last comma, colon or semicolon that fits where it is long. */
function phraseOf(/** @type {string} */ file) {
  const header = /^\/\*\*([\s\S]*?)\*\//.exec(readFileSync(file, "utf8"))?.[1] ?? "";
  const text = header
    .replace(/^\s*\* ?/gm, " ")
    .replace(/\s+/g, " ")
    .trim();
  const sentence = (/^(.*?)(?:(?<! al)\.(?=\s|$)|$)/.exec(text)?.[1] ?? "").replace(/`/g, "");
  if (sentence.length <= longest) return sentence;
  return (
    /^(.{20,}?.*)[,;:] /.exec(sentence.slice(0, longest))?.[1] ??
    sentence.slice(0, sentence.lastIndexOf(" ", longest))
  );
}

/** Files first, then folders, each folder's list below its name. */
function lines(/** @type {string} */ folder, /** @type {string} */ indent) {
  const inside = files.filter((file) => file.startsWith(folder));
  const names = [...new Set(inside.map((file) => file.slice(folder.length).replace(/\/.*/, "")))];
  const isFile = (/** @type {string} */ name) => name.endsWith(".ts");
  const ordered = [...names.filter(isFile), ...names.filter((name) => !isFile(name))];
  /** @type {string[]} */
  const out = [];
  for (const name of ordered) {
    if (isFile(name)) out.push(`${indent}${name.padEnd(22)} ${phraseOf(folder + name)}`.trimEnd());
    else out.push(`${indent}${name}/`, ...lines(`${folder}${name}/`, `${indent}  `));
  }
  return out;
}

const marks = /(<!-- tree -->\n```text\n)[\s\S]*?(```\n<!-- \/tree -->)/;
const readme = readFileSync("README.md", "utf8");
const wanted = readme.replace(
  marks,
  (_, open, close) => `${open}${["src/", ...lines("src/", "  ")].join("\n")}\n${close}`,
);
if (!marks.test(readme)) {
  console.log("error: README.md has no <!-- tree --> to fill");
  process.exitCode = 1;
} else if (wanted !== readme) {
  if (process.argv.includes("--fix")) writeFileSync("README.md", wanted);
  else {
    console.log("error: the tree in README.md is not that of src/; node scripts/tree.js --fix writes it");
    process.exitCode = 1;
  }
}
