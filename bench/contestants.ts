/**
 * Who can be measured, and how to start them: Attune, PyTorch and TRL in Python environments, JavaScript libraries.
 *
 * Environments live in .cache/peers, made on first use from the requirement files in bench/peers and made anew when
 * those change. ATTUNE_BENCH_PYTHON, ATTUNE_BENCH_PYTHON_TRL and ATTUNE_BENCH_PYTHON_TRL_PPO name interpreters to use
 * instead of making such an environment.
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

/** The variables that name an interpreter, by the requirement files in bench/peers. */
const interpreters = {
  torch: "ATTUNE_BENCH_PYTHON",
  trl: "ATTUNE_BENCH_PYTHON_TRL",
  "trl-ppo": "ATTUNE_BENCH_PYTHON_TRL_PPO",
} as const;

/** An interpreter with the packages of a requirement file. */
function pythonWith(name: keyof typeof interpreters): string {
  const given = process.env[interpreters[name]];
  if (given) return given;
  const system = ["python3", "python"].find((name) => spawnSync(name, ["--version"]).status === 0);
  if (!system)
    throw new Unavailable(`${name}: no Python here; install Python 3.10 or later to compare with it`);
  const folder = join(CACHE, name);
  const python = join(folder, windows ? "Scripts/python.exe" : "bin/python");
  const requirements = join(SOURCE, `${name}.txt`);
  environment(folder, requirements, () => {
    install(name, system, ["-m", "venv", folder]);
    install(name, python, ["-m", "pip", "install", "--quiet", "-r", requirements]);
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
  Peer.start(pythonWith("torch"), [join(SOURCE, "torch_peer.py")], threads);

export const startTrl = (threads: number) =>
  Peer.start(pythonWith("trl"), [join(SOURCE, "trl_peer.py")], threads);

/** The last TRL with PPO. */
export const startTrlPpo = (threads: number) =>
  Peer.start(pythonWith("trl-ppo"), [join(SOURCE, "trl_ppo_peer.py")], threads);

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
