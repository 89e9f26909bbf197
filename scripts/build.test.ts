import { spawn, spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const root = fileURLToPath(new URL("..", import.meta.url));
let checkout: string;

/** A checkout of one source file, with this project's own bin/, build script and settings. */
beforeAll(() => {
  checkout = mkdtempSync(join(tmpdir(), "attune-checkout-"));
  for (const path of [
    "bin/attune.js",
    "scripts/build.js",
    "tsconfig.json",
    "tsconfig.build.json",
    "package.json",
  ])
    cpSync(join(root, path), join(checkout, path));
  symlinkSync(join(root, "node_modules"), join(checkout, "node_modules"), "junction");
  mkdirSync(join(checkout, "src", "cli"), { recursive: true });
  says("one");
});
afterAll(() => rmSync(checkout, { recursive: true, force: true }));

function says(text: string): void {
  writeFileSync(
    join(checkout, "src", "cli", "main.ts"),
    `export const main = async (argv: readonly string[]) => console.log("${text}", ...argv);\n`,
  );
}

const attune = (...args: string[]): Promise<{ code: number | null; stdout: string; stderr: string }> =>
  new Promise((resolve) => {
    const child = spawn(process.execPath, [join(checkout, "bin", "attune.js"), ...args]);
    let stdout = "";
    let stderr = "";
    child.stdout.on("data", (chunk) => (stdout += chunk));
    child.stderr.on("data", (chunk) => (stderr += chunk));
    child.on("close", (code) => resolve({ code, stdout, stderr }));
  });

describe("a checkout's first start", () => {
  it("builds once, even when several processes start at the same time", async () => {
    const runs = await Promise.all([attune("a"), attune("b"), attune("c")]);
    expect(runs.map(({ code, stdout }) => [code, stdout])).toEqual([
      [0, "one a\n"],
      [0, "one b\n"],
      [0, "one c\n"],
    ]);
    const said = runs.map(({ stderr }) => stderr).join("");
    expect(said.match(/building dist/g)).toHaveLength(1);
    expect(said.trimEnd().split("\n")).toHaveLength(1);
  });

  it("later starts are silent until a source changes", async () => {
    expect(await attune()).toEqual({ code: 0, stdout: "one\n", stderr: "" });
    says("two");
    const rebuilt = await attune();
    expect(rebuilt.stdout).toBe("two\n");
    expect(rebuilt.stderr).toContain("building dist/");
  });

  it("a lock left by a process that died does not block the build", async () => {
    const dead = spawnSync(process.execPath, ["-e", ""]).pid;
    writeFileSync(join(checkout, ".cache", "build.lock"), String(dead));
    says("three");
    expect((await attune()).stdout).toBe("three\n");
  });

  it("a source that does not compile ends with code 1 and says where", async () => {
    writeFileSync(join(checkout, "src", "cli", "broken.ts"), "export const = 1;\n");
    const { code, stderr } = await attune();
    expect(code).toBe(1);
    expect(stderr).toContain("attune: the build failed");
    expect(stderr).toContain("broken.ts");
  });
});
