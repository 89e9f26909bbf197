import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

const script = (name: string) => fileURLToPath(new URL(name, import.meta.url));
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "attune-scripts-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe("file sizes", () => {
  const sizes = () => spawnSync(process.execPath, [script("file-sizes.js"), folder], { encoding: "utf8" });
  const write = (name: string, lines: number) => {
    mkdirSync(join(folder, "src"), { recursive: true });
    writeFileSync(join(folder, "src", name), "x\n".repeat(lines));
  };

  it("400 lines pass in silence, 401 are a warning, 701 fail", () => {
    write("small.ts", 400);
    expect(sizes()).toMatchObject({ status: 0, stdout: "" });
    write("crowded.ts", 401);
    expect(sizes().stdout).toContain("warning: src/crowded.ts has 401 lines");
    expect(sizes().status).toBe(0);
    write("huge.ts", 701);
    expect(sizes().stdout).toContain("error: src/huge.ts has 701 lines, the limit is 700");
    expect(sizes().status).toBe(1);
  });

  it("generated files do not count", () => {
    write("schema.gen.ts", 5_000);
    expect(sizes()).toMatchObject({ status: 0, stdout: "" });
  });
});

describe("the closing line", () => {
  const close = (...files: string[]) =>
    spawnSync(process.execPath, [script("closing-line.js"), ...files.map((name) => join(folder, name))], {
      encoding: "utf8",
    });
  const counts = (name: string, passed: number, failed: number, skipped: number) =>
    writeFileSync(join(folder, name), JSON.stringify({ passed, failed, skipped }));

  it("adds up the runs", () => {
    counts("a.json", 3, 0, 1);
    counts("b.json", 4, 0, 0);
    expect(close("a.json", "b.json")).toMatchObject({ status: 0, stdout: "7 passed, 0 failed, 1 skipped\n" });
  });

  it("a failure, or a run that left no counts, is an exit code of 1", () => {
    counts("a.json", 3, 2, 0);
    expect(close("a.json")).toMatchObject({ status: 1, stdout: "3 passed, 2 failed\n" });
    expect(close("absent.json")).toMatchObject({ status: 1, stdout: "0 passed, 1 failed\n" });
  });
});

it("the loader runs TypeScript as it stands", () => {
  const file = join(folder, "x.ts");
  writeFileSync(file, "type N = number;\nconst two: N = 2;\nconsole.log(two);\n");
  const said = execFileSync(
    process.execPath,
    ["--import", new URL("register-ts.js", import.meta.url).href, file],
    {
      encoding: "utf8",
    },
  );
  expect(said).toBe("2\n");
});
