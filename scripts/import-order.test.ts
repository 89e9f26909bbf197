import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const root = fileURLToPath(new URL("..", import.meta.url));
const cruise = join(root, "node_modules", "dependency-cruiser", "bin", "dependency-cruise.mjs");
let project: string;
let found: { rule: string; from: string }[];

/** Each file and what the rules must say about it; null is: nothing. */
const files: Record<string, { source: string; rule: string | null }> = {
  "src/graph/a.ts": { source: 'import "../models/b.ts";', rule: "room-graph" },
  "src/graph/core.ts": { source: 'import "node:fs";', rule: "browser-safe" },
  "src/graph/node-session.ts": { source: 'import "node:fs";', rule: null },
  "src/models/b.ts": { source: 'import "../graph/core.ts";', rule: null },
  "src/models/hub.ts": { source: 'import "node:path";', rule: null },
  "src/models/core.test.ts": { source: 'import "node:fs";', rule: null },
  "src/generate/c.ts": { source: 'import type { X } from "../train/d.ts";', rule: "room-generate" },
  "src/train/d.ts": { source: 'import "../models/b.ts";\nexport type X = 1;', rule: null },
  "src/train/e.ts": { source: 'import "./f.ts";', rule: "no-circular" },
  "src/train/f.ts": { source: 'import "./e.ts";', rule: null }, // a cycle is reported once, at its first file
  "src/cli/g.ts": { source: 'import "../train/d.ts";\nimport "../absent.ts";', rule: "not-resolvable" },
  "src/cli/h.ts": { source: 'import "../attic/i.ts";', rule: "room-unknown" },
  "src/attic/i.ts": { source: "export {};", rule: null },
};

beforeAll(() => {
  project = mkdtempSync(join(tmpdir(), "attune-order-"));
  for (const name of [".dependency-cruiser.cjs", "tsconfig.json", "package.json"])
    cpSync(join(root, name), join(project, name));
  for (const [name, { source }] of Object.entries(files)) {
    mkdirSync(dirname(join(project, name)), { recursive: true });
    writeFileSync(join(project, name), `${source}\n`);
  }
  const { stdout } = spawnSync(process.execPath, [cruise, "--output-type", "json", "src"], {
    cwd: project,
    encoding: "utf8",
    maxBuffer: 1 << 26,
  });
  const { violations } = JSON.parse(stdout).summary as {
    violations: { rule: { name: string }; from: string }[];
  };
  found = violations.map(({ rule, from }) => ({ rule: rule.name, from }));
});
afterAll(() => rmSync(project, { recursive: true, force: true }));

describe("the order of imports", () => {
  for (const [name, { source, rule }] of Object.entries(files))
    it(`${name} with ${source.split("\n").at(-1)} ${rule ? `breaks ${rule}` : "is fine"}`, () => {
      expect([...new Set(found.filter(({ from }) => from === name).map((v) => v.rule))]).toEqual(
        rule ? [rule] : [],
      );
    });
});
