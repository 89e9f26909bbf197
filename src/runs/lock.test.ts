import { spawnSync } from "node:child_process";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { RunError } from "./errors.ts";
import { lockFolder } from "./lock.ts";

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "attune-lock-"));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const leave = (holder: object | string) =>
  writeFile(join(dir, ".lock"), typeof holder === "string" ? holder : JSON.stringify(holder));
const since = "2026-01-01T00:00:00.000Z";

describe("the lock of a folder", () => {
  it("lets one in at a time, and the next one when it is over", async () => {
    const unlock = await lockFolder(dir);
    await expect(lockFolder(dir)).rejects.toThrow(
      /^[^\n]*another run is at work in this folder \(process \d+[^\n]*$/,
    );
    await expect(lockFolder(join(dir, "."))).rejects.toThrow(RunError);
    await unlock();
    await unlock();
    await (await lockFolder(dir))();
    expect(await readdir(dir)).toEqual([]);
  });

  it("of several that come at once, exactly one gets in, also over a stale lock", async () => {
    await leave({ pid: 2 ** 22 + 1, host: hostname(), since });
    const attempts = await Promise.allSettled(Array.from({ length: 8 }, () => lockFolder(dir)));
    expect(attempts.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    expect((await readdir(dir)).filter((name) => name !== ".lock")).toEqual([]);
  });

  it("of a process that is gone is taken over, whatever it left", async () => {
    const { pid } = spawnSync(process.execPath, ["-e", ""]);
    for (const left of [
      { pid, host: hostname(), since },
      { pid: process.pid, host: hostname(), since },
    ]) {
      await leave(left);
      await (await lockFolder(dir))();
    }
  });

  it("of a process that started later under the same number is taken over", async () => {
    if (process.platform !== "linux") return;
    await leave({ pid: process.ppid, host: hostname(), ticks: "1", since });
    await (await lockFolder(dir))();
  });

  it("of a living process, or of another machine, stands", async () => {
    await leave({ pid: process.ppid, host: hostname(), since });
    await expect(lockFolder(dir)).rejects.toThrow(`process ${process.ppid}`);
    await leave({ pid: 1, host: "elsewhere", since });
    await expect(lockFolder(dir)).rejects.toThrow(/on elsewhere.*delete .*\.lock/);
  });

  it("that is only half written belongs to somebody for a moment", async () => {
    await leave("");
    await expect(lockFolder(dir)).rejects.toThrow(/just starting/);
  });
});
