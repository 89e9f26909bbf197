/**
 * `attune estimate` beside the runs that it tells of: a small pipeline from nothing, and then each trainer alone on the
 * models that this left. Peak resident memory and seconds of a process of its own, and by how much the estimate is off.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Bench, Context } from "./bench.ts";

const folder = resolve(".cache/bench/estimate");
const targets = { memory: 0.2, time: 0.3 };

/** Runs in every child first: its peak of resident memory is told when it ends. */
const tellPeak =
  'import { writeFileSync } from "node:fs";' +
  'process.on("exit", () => writeFileSync(process.env.ATTUNE_PEAK, String(process.resourceUsage().maxRSS)));';

const world = { pretrain: 4000, sft: 2000, preferences: 2000, prompts: 1000, held_out: 100 };
const size = {
  ...{ vocab_size: 1024, hidden_size: 128, num_hidden_layers: 3, num_attention_heads: 4 },
  ...{ intermediate_size: 384, max_position_embeddings: 128, initializer_range: 0.06 },
};
const rate = { learning_rate: 1e-3, lr_scheduler_type: "cosine" };
const sampling = { response_length: 48, temperature: 0.7 };

/** Stages after a base, by name; `sft` and `reward` are models. */
const stagesOn = (sft: string, reward: string): Record<string, object> => ({
  sft: {
    trainer: "sft",
    data: "world:sft",
    eval_data: "world:sft-held-out",
    batch_size: 32,
    ...rate,
    num_epochs: 1,
  },
  reward: {
    trainer: "reward",
    model: sft,
    data: "world:preferences",
    batch_size: 32,
    ...rate,
    num_epochs: 1,
  },
  ppo: {
    trainer: "ppo",
    model: sft,
    reward,
    data: "world:prompts",
    batch_size: 64,
    max_steps: 15,
    ...sampling,
  },
  dpo: { trainer: "dpo", model: sft, data: "world:preferences", batch_size: 16, ...rate, max_steps: 60 },
  grpo: {
    ...{ trainer: "grpo", model: sft, reward, data: "world:prompts", batch_size: 64, num_generations: 8 },
    ...{ max_completion_length: 48, temperature: 0.7, max_steps: 15 },
  },
});

function recipes(): Record<string, object> {
  const left = (stage: string) => join(folder, "pipeline", "stages", stage);
  const { sft, ...others } = stagesOn(left("sft"), left("reward"));
  const base = {
    trainer: "pretrain",
    data: "world:pretrain",
    ...size,
    batch_size: 8,
    learning_rate: 5e-3,
    num_epochs: 1,
  };
  const evaluate = {
    ...{ prompts: "world:held-out", reward: "world:gold", num_prompts: 64, max_new_tokens: 48 },
    ...{ temperature: 0.7, perplexity: "world:sft-held-out" },
  };
  const pipeline = stagesOn("sft", "reward");
  return {
    pipeline: { world, evaluate, stages: { base, ...pipeline, sft: { ...pipeline.sft, model: "base" } } },
    ...Object.fromEntries(
      Object.entries({ sft: { ...sft, model: left("base") }, ...others }).map(([name, stage]) => [
        name,
        { world, stages: { [name]: stage } },
      ]),
    ),
  };
}

interface Told {
  readonly seconds: number;
  /** Bytes. */
  readonly memory: number;
}

function attune<T>(args: readonly string[], threads: number): T & { readonly peak: number } {
  const peak = join(folder, "peak");
  const run = spawnSync(
    process.execPath,
    [
      ...["--import", `data:text/javascript,${encodeURIComponent(tellPeak)}`, "bin/attune.js"],
      ...[...args, "--json", "--quiet", "--threads", String(threads)],
    ],
    { encoding: "utf8", maxBuffer: 2 ** 26, env: { ...process.env, ATTUNE_PEAK: peak } },
  );
  if (run.status !== 0)
    throw new Error(`attune ${args.join(" ")}: exit code ${run.status}: ${run.stderr.slice(-500)}`);
  return { ...(JSON.parse(run.stdout) as T), peak: Number(readFileSync(peak, "utf8")) * 1024 };
}

const off = (estimated: number, real: number): number => Math.abs(estimated / real - 1);

function measure(context: Context, name: string, recipe: object): void {
  const { threads } = context.options;
  const file = join(folder, `${name}.yaml`);
  writeFileSync(file, JSON.stringify({ ...recipe, output_dir: join(folder, name) }));
  const estimated = attune<Told>(["estimate", file], threads);
  const real = attune<Told>(["run", file, "--overwrite"], threads);
  const row = { bench: "estimate", case: name, better: "lower" } as const;
  context.add({ ...row, metric: "peak memory", unit: "MB" }, [real.peak / 1e6]);
  context.add({ ...row, metric: "peak memory, estimated", unit: "MB" }, [estimated.memory / 1e6]);
  context.add({ ...row, metric: "memory is off by", unit: "", target: targets.memory }, [
    off(estimated.memory, real.peak),
  ]);
  context.add({ ...row, metric: "time", unit: "s" }, [real.seconds]);
  context.add({ ...row, metric: "time, estimated", unit: "s" }, [estimated.seconds]);
  context.add({ ...row, metric: "time is off by", unit: "", target: targets.time }, [
    off(estimated.seconds, real.seconds),
  ]);
}

export const estimate: Bench = {
  name: "estimate",
  describe: "memory and time that attune estimate tells, beside real runs",
  async run(context) {
    mkdirSync(folder, { recursive: true });
    for (const [name, recipe] of Object.entries(recipes()))
      if (context.selects(name)) measure(context, name, recipe);
  },
};
