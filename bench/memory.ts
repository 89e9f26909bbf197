/** Peak resident memory of the GPT-2 train step, each in a fresh process, two steps after its warm-up. */
import type { Bench, Rival } from "./bench.ts";
import { type TrainCase, trainCases } from "./cases.ts";
import { startAttune, startTorch } from "./contestants.ts";
import type { Contestant } from "./harness.ts";

const kase = trainCases[0] as TrainCase;
const RUNS = 3;

/** Every run is a process of its own: a peak cannot be measured twice in one. */
function peak(rival: Pick<Rival, "label" | "start">, command: string, threads: number): Contestant {
  const { model, tokens, batch } = kase;
  const run = async () => {
    const peer = await rival.start(threads);
    try {
      const answer = await peer.request(command, { model, tokens, batch, steps: 2, mode: "eager" });
      return (answer.peak_rss as number) / 2 ** 30;
    } finally {
      await peer.close();
    }
  };
  return { label: rival.label, run };
}

export const memory: Bench = {
  name: "memory",
  describe: "peak resident memory of the GPT-2 train step",
  run: async (context) => {
    const { threads, runs } = context.options;
    const figure = {
      bench: "memory",
      case: kase.name,
      metric: "peak memory",
      unit: "GiB",
      better: "lower",
    } as const;
    const ready = await context.attune("train_step");
    await ready?.close();
    const ours = ready && peak({ label: "attune", start: startAttune }, "train_step", threads);
    const torch: Rival = { label: "torch eager", family: "torch", start: startTorch };
    const available = context.wants(torch) ? await context.start(torch, "train_step") : undefined;
    await available?.close();
    if (available)
      await context.versus({ ...figure, target: 0.75 }, ours, peak(torch, "train_step", threads));
    const alone = async (command: string, metric: string) => {
      const attune = await context.attune(command);
      if (!attune) return;
      await attune.close();
      const { run } = peak({ label: "attune", start: startAttune }, command, threads);
      const values: number[] = [];
      for (let i = 0; i < Math.min(runs, RUNS); i++) values.push(await run());
      context.add({ ...figure, metric }, values);
    };
    if (!available) await alone("train_step", figure.metric);
    await alone("train_scan", "peak memory, scan");
  },
};
