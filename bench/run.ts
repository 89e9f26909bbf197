/**
 * The benchmarks' command line.
 *
 *     npm run bench -- --only train-step --peer torch --json figures.json
 */
import { writeFileSync } from "node:fs";
import { availableParallelism, loadavg } from "node:os";
import { parseArgs } from "node:util";
import { type Bench, Context, families } from "./bench.ts";
import { estimate } from "./estimate.ts";
import { generate } from "./generate.ts";
import { machine, table } from "./harness.ts";
import { memory } from "./memory.ts";
import { optimum } from "./optimum.ts";
import { frontier, overopt } from "./overopt.ts";
import { rlhf } from "./rlhf.ts";
import { startup } from "./startup.ts";
import { ppoToReward } from "./to-reward/ppo-to-reward.ts";
import { trainStep } from "./train-step.ts";
import { world } from "./world.ts";

const benches: readonly Bench[] = [
  trainStep,
  generate,
  memory,
  estimate,
  startup,
  optimum,
  world,
  overopt,
  frontier,
  ...rlhf,
  ppoToReward,
];

const usage = `npm run bench -- [options]

  --only NAME[,NAME]    these benchmarks (see --list); all by default
  --case NAME[,NAME]    these cases of them; all by default
  --peer FAMILY[,...]   run beside torch, js, trl, trl-ppo, or none (the default)
  --json FILE           write the figures as JSON; - is standard output
  --runs N              measured runs after the warm-up, 5 by default
  --threads N           threads of every contestant, all cores by default
  --grid                search the settings of ppo-to-reward and write bench/to-reward/grid.json instead of measuring
  --list                the names of the benchmarks
`;

class UsageError extends Error {}

function parse(args: string[]) {
  const text = { type: "string" } as const;
  const flag = { type: "boolean" } as const;
  try {
    const options = {
      only: text,
      case: text,
      peer: text,
      json: text,
      runs: text,
      threads: text,
      grid: flag,
      list: flag,
      help: flag,
    };
    return parseArgs({ args, options }).values;
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

const names = (list: string | undefined) => list?.split(",").filter(Boolean) ?? [];

function count(text: string | undefined, fallback: number, flag: string): number {
  const value = text === undefined ? fallback : Number(text);
  if (!Number.isInteger(value) || value < 1)
    throw new UsageError(`${flag} needs a positive whole number, got ${text}`);
  return value;
}

function oneOf(given: readonly string[], known: readonly string[], flag: string) {
  const odd = given.filter((name) => !known.includes(name));
  if (odd.length > 0) throw new UsageError(`${flag} ${odd.join(",")}: known are ${known.join(", ")}`);
}

async function main(args: string[]): Promise<void> {
  const given = parse(args);
  if (given.help) return console.log(usage);
  if (given.list) return console.log(benches.map(({ name }) => name).join("\n"));
  const only = names(given.only);
  oneOf(
    only,
    benches.map(({ name }) => name),
    "--only",
  );
  const peers = names(given.peer ?? "none");
  oneOf(peers, [...families, "none"], "--peer");
  const threads = count(given.threads, availableParallelism(), "--threads");
  const runs = count(given.runs, 5, "--runs");
  const options = { peers, cases: names(given.case), runs, threads, grid: given.grid ?? false };
  const command = ["npm run bench --", ...args].join(" ");
  const context = new Context(options, { command, machine: machine(threads) });
  const load = loadavg()[0] as number; // 0 on Windows, which has none
  if (load > availableParallelism() / 2)
    process.stderr.write(`the machine is busy (load ${load.toFixed(1)}): expect noise\n`);
  for (const bench of benches) {
    if (only.length > 0 && !only.includes(bench.name)) continue;
    process.stderr.write(`${bench.name}: ${bench.describe}\n`);
    await bench.run(context);
  }
  const json = `${JSON.stringify(context.rows, null, 2)}\n`;
  if (given.json === "-") return void process.stdout.write(json);
  if (given.json) writeFileSync(given.json, json);
  console.log(`\n${machine(threads)}\n\n${table(context.rows)}`);
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`bench: ${error instanceof Error ? error.message : error}\n`);
  if (error instanceof UsageError) process.stderr.write(`\n${usage}`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
