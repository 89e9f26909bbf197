/**
 * Who can be measured, and how to start them: Attune, PyTorch in a Python environment, JavaScript libraries.
 *
 * Environments live in .cache/peers, made on first use from the requirement files in bench/peers and made anew when
 * those change. ATTUNE_BENCH_PYTHON names an interpreter to use instead of making one.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { Peer } from "./peer.ts";

const CACHE = ".cache/peers";
const SOURCE = "bench/peers";
const windows = process.platform === "win32";

/** A peer cannot run here; the message says why, and the benchmark goes on without it. */
export class Unavailable extends Error {
  override name = "Unavailable";
}

/** Runs `make` in a fresh folder unless the folder was completed from the same requirements before. */
function environment(folder: string, requirements: string, make: () => void): void {
  const stamp = join(folder, "complete");
  const key = createHash("sha256").update(readFileSync(requirements)).digest("hex");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === key) return;
  process.stderr.write(`installing ${requirements} into ${folder}, once\n`);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  make();
  writeFileSync(stamp, key);
}

function install(what: string, command: string, args: readonly string[], cwd = "."): void {
  const { status, stderr, error } = spawnSync(command, args, { cwd, encoding: "utf8", shell: windows });
  if (status === 0) return;
  throw new Unavailable(`${what}: ${command} failed: ${error?.message ?? stderr.trim().slice(-500)}`);
}

function torchPython(): string {
  if (process.env.ATTUNE_BENCH_PYTHON) return process.env.ATTUNE_BENCH_PYTHON;
  const system = ["python3", "python"].find((name) => spawnSync(name, ["--version"]).status === 0);
  if (!system)
    throw new Unavailable("torch: no Python here; install Python 3.10 or later to compare with PyTorch");
  const folder = join(CACHE, "torch");
  const python = join(folder, windows ? "Scripts/python.exe" : "bin/python");
  const requirements = join(SOURCE, "torch.txt");
  environment(folder, requirements, () => {
    install("torch", system, ["-m", "venv", folder]);
    install("torch", python, ["-m", "pip", "install", "--quiet", "-r", requirements]);
  });
  return python;
}

/** Installs the JavaScript peers and puts our modules for them where Node finds their packages. */
function jsFolder(): string {
  const [folder, source] = [join(CACHE, "js"), join(SOURCE, "js")];
  environment(folder, join(source, "package.json"), () => {
    copyFileSync(join(source, "package.json"), join(folder, "package.json"));
    install("js", "npm", ["install", "--ignore-scripts", "--no-audit", "--no-fund"], folder);
  });
  for (const name of readdirSync(source)) copyFileSync(join(source, name), join(folder, name));
  return folder;
}

const host = ".cache/bench/serve.js";

export const startAttune = (threads: number) =>
  Peer.start(process.execPath, [host, ".cache/bench/attune.js"], threads);

export const startTorch = (threads: number) =>
  Peer.start(torchPython(), [join(SOURCE, "torch_peer.py")], threads);

/** `module` is a file of bench/peers/js. */
export const startJs = (module: string, threads: number) =>
  Peer.start(process.execPath, [host, join(jsFolder(), module)], threads);

/** The commit that is measured, where git knows it. */
export function revision(): string {
  try {
    return execFileSync("git", ["rev-parse", "--short", "HEAD"], { encoding: "utf8" }).trim();
  } catch {
    return "unknown";
  }
}
