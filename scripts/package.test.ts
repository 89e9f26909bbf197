import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const root = fileURLToPath(new URL("..", import.meta.url));
const manifest = JSON.parse(readFileSync(`${root}package.json`, "utf8")) as {
  dependencies: Record<string, string>;
  devDependencies: Record<string, string>;
};

describe("the published package", () => {
  it("has the command, the licence and the sources behind its source maps, but no tests and no scripts", () => {
    const packed = execFileSync("npm", ["pack", "--dry-run", "--json", "--ignore-scripts"], {
      cwd: root,
      encoding: "utf8",
      shell: process.platform === "win32",
    });
    const [{ files }] = JSON.parse(packed) as [{ files: { path: string }[] }];
    const paths = files.map(({ path }) => path);
    expect(paths).toEqual(expect.arrayContaining(["LICENSE", "bin/attune.js", "src/cli/main.ts"]));
    expect(paths.filter((path) => /\.(test|fixture)\.|^scripts\/|^test\/|golden/.test(path))).toEqual([]);
  });
});

it("docs/dependencies.md has a line for every dependency, and none for what is gone", () => {
  const listed = [...readFileSync(`${root}docs/dependencies.md`, "utf8").matchAll(/^\| `([^`]+)` \|/gm)].map(
    ([, name]) => name as string,
  );
  expect(listed.toSorted()).toEqual(
    Object.keys({ ...manifest.dependencies, ...manifest.devDependencies }).toSorted(),
  );
});
