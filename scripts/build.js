/**
 * Builds dist/ with tsc, beside the old one, and swaps the two, so that nobody imports half a build.
 * Two processes at once: the second waits for the first and finds the work done.
 * `node scripts/build.js` (what `npm run build` and `prepack` do) builds always and checks types;
 * bin/attune.js calls `buildWhenStale()`.
 */
import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const dist = join(root, "dist");
const stamp = join(dist, ".built");
const lock = join(root, ".cache", "build.lock");

/**
 * The newest modification below a folder, in ms since 1970. Folders count too: a removed file changes its folder.
 * @param {string} folder
 * @returns {number}
 */
function newestIn(folder) {
  let newest = statSync(folder).mtimeMs;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (/\.(test|fixture)\.ts$/.test(entry.name)) continue;
    const path = join(folder, entry.name);
    newest = Math.max(newest, entry.isDirectory() ? newestIn(path) : statSync(path).mtimeMs);
  }
  return newest;
}

/** True when dist/ is missing, or older than src/ or the build's configuration. */
export function isStale() {
  const built = statSync(stamp, { throwIfNoEntry: false })?.mtimeMs;
  if (built === undefined) return true;
  const settings = ["tsconfig.json", "tsconfig.build.json", "package.json"];
  return (
    newestIn(join(root, "src")) > built || settings.some((name) => statSync(join(root, name)).mtimeMs > built)
  );
}

/** @param {number} pid */
function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return /** @type {NodeJS.ErrnoException} */ (error).code === "EPERM";
  }
}

/** Takes the lock and returns true, or returns false while another living process holds it. */
function takeLock() {
  mkdirSync(join(root, ".cache"), { recursive: true });
  try {
    writeFileSync(lock, String(process.pid), { flag: "wx" });
    return true;
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code !== "EEXIST") throw error;
  }
  const age = Date.now() - (statSync(lock, { throwIfNoEntry: false })?.mtimeMs ?? Date.now());
  let owner = 0;
  try {
    owner = Number(readFileSync(lock, "utf8"));
  } catch {
    return false; // released this very moment: the next try takes it
  }
  // an empty lock is one being written; only an old one counts as abandoned
  if (owner > 0 ? !isAlive(owner) : age > 5_000) rmSync(lock, { force: true });
  return false;
}

/** @param {number} ms */
const sleep = (ms) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);

/** @param {string[]} options  more options for tsc */
function compile(options) {
  const started = new Date(); // a file changed while tsc runs makes this build stale again
  const fresh = join(root, `dist.${process.pid}.tmp`);
  const old = `${fresh}.old`;
  const tsc = join(root, "node_modules", "typescript", "bin", "tsc");
  if (!existsSync(tsc)) throw new Error("building from a checkout needs TypeScript: run `npm ci` first");
  const project = join(root, "tsconfig.build.json");
  const run = spawnSync(process.execPath, [tsc, "-p", project, "--outDir", fresh, ...options], {
    encoding: "utf8",
  });
  if (run.status !== 0) {
    rmSync(fresh, { recursive: true, force: true });
    throw new Error(`the build failed\n${run.stdout}${run.stderr}`.trim());
  }
  writeFileSync(join(fresh, ".built"), "");
  utimesSync(join(fresh, ".built"), started, started);
  if (existsSync(dist)) renameSync(dist, old);
  renameSync(fresh, dist);
  rmSync(old, { recursive: true, force: true });
}

/**
 * Runs `work` while no other process builds.
 * @param {() => void} work
 */
function exclusively(work) {
  while (!takeLock()) sleep(100);
  try {
    work();
  } finally {
    rmSync(lock, { force: true });
  }
}

/** Builds dist/ when it is stale; types are left to `npm run check`, so that this takes a second or two. */
export function buildWhenStale() {
  if (!isStale()) return;
  exclusively(() => {
    if (!isStale()) return; // another process built it while this one waited
    process.stderr.write("attune: building dist/ from src/ (a checkout's first start, or src/ changed)\n");
    compile(["--noCheck"]);
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    exclusively(() => compile([]));
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
}
