import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { commands, createProgram } from "../src/cli/main.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const documents = ["README.md", "FEATURES.md", "docs/concepts.md", "docs/data.md", "docs/recipes.md"];

it.each(documents)("every file that %s links to is there", (document) => {
  const text = readFileSync(join(root, document), "utf8");
  const links = [...text.matchAll(/\]\(([^)#\s]+)\)/g)].map(([, path]) => path as string);
  const missing = links.filter(
    (path) => !path.includes("://") && !existsSync(join(root, dirname(document), path)),
  );
  expect(missing).toEqual([]);
});

it.each(["README.md", "docs/concepts.md"])("every command that %s names exists", (document) => {
  const text = readFileSync(join(root, document), "utf8");
  const streams = { stdout: { write: () => true }, stderr: { write: () => true } };
  const known = createProgram(commands, streams).commands.map((command) => command.name());
  const named = [...text.matchAll(/(?:`|npx )attune ([a-z][a-z-]*)/g)].map(([, name]) => name as string);
  expect(named.length).toBeGreaterThan(10);
  expect(named.filter((name) => !known.includes(name))).toEqual([]);
});
