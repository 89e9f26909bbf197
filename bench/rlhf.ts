/**
 * Updates of preference learning and whole iterations of PPO, GRPO and RLOO, in milliseconds, beside TRL: the same checkpoints, the
 * same pairs in the same batches, the same prompts, the same numbers of epochs (see rlhf-work.ts).
 */
import type { Bench, Context, Rival } from "./bench.ts";
import { startTrl, startTrlPpo } from "./contestants.ts";
import type { Contestant, Figure } from "./harness.ts";
import type { Peer } from "./peer.ts";
import { workOf } from "./rlhf-work.ts";

const folder = ".cache/bench/rlhf";
const batch = 16;
const steps = 6;
const seed = 42;
/** Iterations of a fraction of a second need more of them, until the just-in-time compiler has settled. */
const iterations = { short: 20, long: 8 };
const prompts = { batch: 32, new_tokens: 48, epochs: 4, steps: iterations.long };

interface RlhfRival extends Rival {
  /** What the rival is asked besides the paths of the work. */
  readonly request: Readonly<Record<string, unknown>>;
}

interface RlhfBench {
  readonly command: "dpo" | "reward" | "ppo" | "grpo" | "rloo";
  readonly describe: string;
  readonly metric: string;
  readonly ours: Readonly<Record<string, unknown>>;
  readonly rivals: readonly RlhfRival[];
  /** Least ratio by size. */
  readonly targets: Readonly<Record<string, number>>;
}

const trl = { family: "trl", start: startTrl } as const;
const pairs = { batch, steps };
const groups = { batch: 32, new_tokens: 48, group: 8, steps: iterations.short };

const table: readonly RlhfBench[] = [
  {
    command: "dpo",
    describe: "updates of DPO on 16 ragged pairs",
    metric: "update",
    ours: pairs,
    rivals: [
      { ...trl, label: "trl, precomputed", request: { ...pairs, precomputed: true } },
      { ...trl, label: "trl", request: { ...pairs, precomputed: false } },
    ],
    targets: { "0.7m": 2.5, "5.6m": 1.4 },
  },
  {
    command: "reward",
    describe: "updates of a reward model on 16 ragged pairs",
    metric: "update",
    ours: pairs,
    rivals: [{ ...trl, label: "trl", request: pairs }],
    targets: { "0.7m": 1.5, "5.6m": 1.3 },
  },
  {
    command: "ppo",
    describe: "iterations of PPO: 32 prompts of 16 tokens, up to 48 new ones, 4 epochs, a critic of its own",
    metric: "iteration",
    ours: prompts,
    rivals: [
      {
        label: "trl-ppo",
        family: "trl-ppo",
        start: startTrlPpo,
        request: { ...prompts, iterations: prompts.steps },
      },
    ],
    targets: { "0.7m": 2.5, "5.6m": 1.5 },
  },
  ...(["grpo", "rloo"] as const).map(
    (command): RlhfBench => ({
      command,
      describe: `iterations of ${command.toUpperCase()}: 32 responses in groups of 8, up to 48 new tokens, one pass`,
      metric: "iteration",
      ours: groups,
      rivals: [{ ...trl, label: "trl", request: groups }],
      targets: { "0.7m": 3, "5.6m": 1.7 },
    }),
  ),
];

const asked = (
  peer: Peer,
  label: string,
  command: string,
  request: Readonly<Record<string, unknown>>,
): Contestant => ({
  label,
  run: async () => 1000 * ((await peer.request(command, request)).seconds as number),
});

/** How an iteration of PPO divides into its parts. */
async function shares(
  context: Context,
  attune: Peer,
  size: string,
  request: Readonly<Record<string, unknown>>,
) {
  const found: Record<string, number[]> = { rollout: [], score: [], update: [] };
  for (let run = 0; run < context.options.runs; run++) {
    const answer = await attune.request("ppo", request);
    for (const [name, values] of Object.entries(found))
      values.push((answer[name] as number) / (answer.seconds as number));
  }
  for (const [name, values] of Object.entries(found))
    context.add({ bench: "ppo", case: size, metric: `share of ${name}`, unit: "", better: "lower" }, values);
}

async function measure(context: Context, bench: RlhfBench, size: string): Promise<void> {
  const { command, ours, rivals, metric, targets } = bench;
  const attune = await context.attune("prepare_rlhf");
  if (!attune) return;
  const work = { folder, seed, batch, steps: steps + 2, prompts: 320, promptTokens: 16 };
  await attune.request("prepare_rlhf", work);
  const request = { ...ours, folder, size, seed };
  const figure: Figure = { bench: command, case: size, metric, unit: "ms", better: "lower" };
  const us = asked(attune, "attune", command, request);
  const wanted = rivals.filter((rival) => context.wants(rival));
  for (const rival of wanted) {
    const peer = await context.start(rival, command);
    if (!peer) continue;
    const them = asked(peer, rival.label, command, { ...rival.request, ...workOf(folder, size) });
    await context.versus({ ...figure, target: targets[size] }, us, them);
    await peer.close();
  }
  if (wanted.length === 0) {
    const values: number[] = [];
    for (let run = 0; run < context.options.runs; run++) values.push(await us.run());
    context.add(figure, values);
  }
  if (command === "ppo") await shares(context, attune, size, request);
  await attune.close();
}

/** One benchmark for each row of the table. */
export const rlhf: readonly Bench[] = table.map((bench) => ({
  name: bench.command,
  describe: bench.describe,
  run: async (context) => {
    for (const size of Object.keys(bench.targets))
      if (context.selects(size)) await measure(context, bench, size);
  },
}));
