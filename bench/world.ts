/**
 * The pipeline on the built-in world (recipes/world.yaml), a run for each seed: gold reward of held-out prompts by stage,
 * how often PPO and DPO win against fine-tuning, how well the reward model judges, and how long it all takes.
 */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import type { Bench, Context } from "./bench.ts";

const folder = ".cache/bench/world";

interface Evaluation {
  readonly reward: { readonly overall: { readonly mean: number } };
  readonly win_rate?: { readonly rate: number };
}

interface Outcome {
  readonly seconds: number;
  readonly stages: readonly {
    readonly name: string;
    readonly reward_model?: { readonly accuracy: number };
  }[];
  readonly evaluations: Readonly<Record<string, Evaluation>>;
}

function outcome(name: string, seed: number, fields: readonly string[]): Outcome {
  const args = ["run", "world", "--overwrite", "--json", "--quiet", "--seed", String(seed), ...fields];
  const dir = join(folder, `${name}-${seed}`);
  const run = spawnSync(process.execPath, ["bin/attune.js", ...args, "--output_dir", dir], {
    encoding: "utf8",
    maxBuffer: 2 ** 26,
  });
  if (run.status !== 0)
    throw new Error(`attune ${args.join(" ")}: exit code ${run.status}: ${run.stderr.slice(-500)}`);
  return JSON.parse(run.stdout) as Outcome;
}

const accuracyOf = ({ stages }: Outcome): number =>
  stages.find(({ reward_model }) => reward_model)?.reward_model?.accuracy as number;

function pipeline(context: Context, seeds: readonly number[]): void {
  const outcomes = seeds.map((seed) => outcome("seed", seed, []));
  const row = { bench: "world", case: "pipeline", unit: "", better: "higher", mean: true } as const;
  const of = (stage: string, value: (evaluation: Evaluation) => number) =>
    outcomes.map(({ evaluations }) => value(evaluations[stage] as Evaluation));
  const gold = (stage: string) => of(stage, ({ reward }) => reward.overall.mean);
  for (const stage of ["base", "sft", "ppo", "dpo"])
    context.add({ ...row, metric: `gold reward, ${stage}` }, gold(stage));
  const gains = [
    ["base", "sft"],
    ["sft", "ppo"],
    ["sft", "dpo"],
  ] as const;
  for (const [from, to] of gains)
    context.add(
      { ...row, metric: `gold reward, ${to} over ${from}`, target: 0 },
      gold(to).map((value, i) => value - (gold(from)[i] as number)),
    );
  for (const stage of ["ppo", "dpo"])
    context.add(
      { ...row, metric: `win rate of ${stage} against sft`, target: 0.65 },
      of(stage, ({ win_rate }) => win_rate?.rate as number),
    );
  context.add(
    { ...row, metric: "time", unit: "s", better: "lower", target: 300 },
    outcomes.map((o) => o.seconds),
  );
}

/** The reward model alone, after a base and demonstrations, with and without noise in its labels. */
function judge(
  context: Context,
  seeds: readonly number[],
  kase: string,
  { noise, target }: { noise: number; target: number },
): void {
  const short = ["--ppo.max_steps", "1", "--dpo.max_steps", "1", "--evaluate.num_prompts", "8"];
  const found = seeds.map((seed) =>
    accuracyOf(
      outcome("judge", seed, ["--world.noise", String(noise), "--pairs.noise", String(noise), ...short]),
    ),
  );
  context.add(
    {
      bench: "world",
      case: kase,
      metric: "accuracy on clean held-out pairs",
      unit: "",
      better: "higher",
      mean: true,
      target,
    },
    found,
  );
}

/** Shares of labels that are turned round. */
const judged = {
  "clean labels": { noise: 0, target: 0.85 },
  "noisy labels": { noise: 0.2, target: 0.75 },
} as const;

export const world: Bench = {
  name: "world",
  describe: "the whole pipeline on the built-in world, a run for each seed; --runs says how many",
  run: async (context) => {
    const seeds = Array.from({ length: context.options.runs }, (_, i) => 42 + i);
    if (context.selects("pipeline")) pipeline(context, seeds);
    for (const [kase, labels] of Object.entries(judged))
      if (context.selects(kase)) judge(context, seeds, kase, labels);
  },
};
