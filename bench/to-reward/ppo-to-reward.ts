/**
 * Wall-clock to the same gold reward, beside TRL's PPO: both sides optimise one reward model against one policy, each
 * with the setting that was fastest for it in a grid that both tried (grid.ts). Gold of snapshots is measured by one
 * sampler, off the clock; what counts is seconds of training, Attune's compiling included.
 */
import { rmSync } from "node:fs";
import { join } from "node:path";
import type { Bench, Context, Rival } from "../bench.ts";
import { startTrlPpo } from "../contestants.ts";
import { machine } from "../harness.ts";
import type { Peer } from "../peer.ts";
import {
  type GridRow,
  reachedAt,
  readGrid,
  type Setting,
  settings,
  type Trial,
  winnerOf,
  writeGrid,
} from "./grid.ts";
import { taskPaths } from "./task-paths.ts";

const folder = ".cache/bench/to-reward";

const task = {
  folder,
  seed: 42,
  prompts: 1024,
  heldOut: 256,
  promptTokens: 16,
  newTokens: 64,
  samples: 6,
};

const training = { new_tokens: task.newTokens, batch: 32, mini_batches: 2, missing_eos_penalty: 1 };
const every = 3;
/** Gold that is to be reached; the policy begins with 1.16. */
const target = 2;
const steps = 30;
const trl: Rival = { label: "trl-ppo", family: "trl-ppo", start: startTrlPpo };
const figure = { bench: "ppo-to-reward", case: "0.7m", unit: "s", better: "lower" } as const;

const goldOf = async (attune: Peer, snapshot: string): Promise<number> => {
  const request = { folder, snapshot, new_tokens: task.newTokens, samples: 1, seed: 7 };
  return (await attune.request("gold", request)).gold as number;
};

/** Trains with one setting, and scores what was saved on the way. */
async function trial(
  attune: Peer,
  side: Peer,
  label: string,
  setting: Setting,
  { steps, seed }: { steps: number; seed: number },
): Promise<Trial> {
  const { policy, reward, prompts } = taskPaths(folder);
  const snapshots = join(folder, `snapshots-${label}`);
  rmSync(snapshots, { recursive: true, force: true });
  const { learning_rate, num_ppo_epochs, kl_coef } = setting;
  const { seconds } = await side.request("ppo_to_reward", {
    ...{ ...training, policy, reward, prompts, snapshots, seed, steps, snapshot_every: every },
    ...{ learning_rate, num_ppo_epochs, kl_coef },
  });
  const gold: number[] = [];
  for (let step = every; step <= steps; step += every)
    gold.push(await goldOf(attune, join(snapshots, String(step))));
  rmSync(snapshots, { recursive: true, force: true });
  return { seconds: seconds as readonly number[], gold };
}

const note = (text: string) => process.stderr.write(`  ${text}\n`);

/** Every setting for a side. */
async function search(attune: Peer, side: Peer, label: string, start: number): Promise<GridRow[]> {
  const rows: GridRow[] = [];
  for (const setting of settings) {
    const found = await trial(attune, side, label, setting, { steps, seed: task.seed });
    const reached = reachedAt(found, target, start, every) ?? null;
    rows.push({ ...setting, reached, ...found });
    note(
      `${label} ${JSON.stringify(setting)}: gold ${found.gold.at(-1)?.toFixed(2)} after ${steps} iterations, target ` +
        (reached ? `after ${reached.steps.toFixed(1)}, ${reached.seconds.toFixed(1)} s` : "not reached"),
    );
  }
  return rows;
}

/** Seconds to the target with a side's winner; the seed counts up from run to run. */
function contestant(attune: Peer, side: Peer, label: string, winner: GridRow, start: number) {
  let seed = task.seed;
  // Other seeds take longer or not as long; twice the iterations will do.
  const wanted = 2 * every * Math.ceil((winner.reached as { steps: number }).steps / every);
  return {
    label,
    run: async () => {
      const found = await trial(attune, side, label, winner, { steps: wanted, seed: seed++ });
      const reached = reachedAt(found, target, start, every);
      if (!reached)
        throw new Error(
          `gold of ${target} was not reached in ${wanted} iterations, only ${Math.max(...found.gold)}`,
        );
      note(`${label}: ${reached.steps.toFixed(1)} iterations, ${reached.seconds.toFixed(1)} s`);
      return reached.seconds;
    },
  };
}

async function measure(context: Context): Promise<void> {
  const attune = await context.attune("prepare_to_reward");
  if (!attune) return;
  const rival = context.wants(trl) ? await context.start(trl, "ppo_to_reward") : undefined;
  try {
    await attune.request("prepare_to_reward", task);
    const start = await goldOf(attune, taskPaths(folder).policy);
    note(`gold before training ${start.toFixed(3)}, target ${target}`);
    const sides = { attune, ...(rival && { [trl.label]: rival }) };
    if (context.options.grid) {
      const found: Record<string, readonly GridRow[]> = {};
      for (const [label, side] of Object.entries(sides))
        found[label] = await search(attune, side, label, start);
      const here = machine(context.options.threads);
      writeGrid({ machine: here, target, start, snapshot_every: every, sides: found });
      return;
    }
    const committed = readGrid();
    if (committed.target !== target || committed.snapshot_every !== every)
      throw new Error(`grid.json was made for gold of ${committed.target}; make it anew with --grid`);
    const side = (label: string, peer: Peer) => {
      const winner = winnerOf(committed.sides[label] ?? []);
      if (!winner) throw new Error(`grid.json: ${label} reached the target with no setting; run with --grid`);
      return contestant(attune, peer, label, winner, start);
    };
    const us = side("attune", attune);
    const metric = `time to gold ${target}`;
    if (rival) await context.versus({ ...figure, metric, target: 4 }, us, side(trl.label, rival));
    else {
      const values: number[] = [];
      for (let run = 0; run < context.options.runs; run++) values.push(await us.run());
      context.add({ ...figure, metric }, values);
    }
  } finally {
    await rival?.close();
    await attune.close();
  }
}

export const ppoToReward: Bench = {
  name: "ppo-to-reward",
  describe:
    "PPO to the same gold reward at 0.7M parameters, each side with its best of one grid; --grid searches anew",
  run: async (context) => {
    if (context.selects("0.7m")) await measure(context);
  },
};
