/**
 * One optimiser step (forward, backward, clipping to norm 1, AdamW) on a batch, in effective GFLOP/s: over the
 * MatMul peak of the same process, and beside the peers.
 */
import type { Bench, Context, Rival } from "./bench.ts";
import { type TrainCase, trainCases, trainFlops } from "./cases.ts";
import { startJs, startTorch } from "./contestants.ts";
import { type Contestant, type Figure, interleave } from "./harness.ts";
import type { Peer } from "./peer.ts";

interface TrainRival extends Rival {
  readonly mode: string;
  /** The cases that it is measured on; all where it is left out. */
  readonly cases?: readonly string[];
}

const rivals: readonly TrainRival[] = [
  { label: "torch eager", family: "torch", mode: "eager", start: startTorch },
  {
    label: "torch compile",
    family: "torch",
    mode: "compile",
    start: startTorch,
    cases: ["l6-d256", "l4-d128"],
  },
  { label: "torch bf16", family: "torch", mode: "bf16", start: startTorch },
  {
    label: "tfjs wasm",
    family: "js",
    mode: "eager",
    start: (n) => startJs("tfjs.mjs", n),
    cases: ["l4-d128"],
  },
  {
    label: "jax-js wasm",
    family: "js",
    mode: "jit",
    start: (n) => startJs("jax.mjs", n),
    cases: ["l4-d128"],
  },
];

/** Attune's two ways: each step a run of the graph, or all of a measurement's steps in one run. */
const variants = [
  { command: "train_step", suffix: "" },
  { command: "train_scan", suffix: ", scan" },
] as const;

const COMMAND = "train_step";

/** One run of a case in a process yields GFLOP/s. */
function stepper(peer: Peer, label: string, kase: TrainCase, command: string, mode = "fp32"): Contestant {
  const { model, tokens, batch, steps } = kase;
  const run = async () => {
    const { seconds } = await peer.request(command, { model, tokens, batch, steps, mode });
    return trainFlops(kase) / (seconds as number) / 1e9;
  };
  return { label, run };
}

async function overPeak(context: Context, kase: TrainCase, attune: Peer, ours: Contestant, suffix: string) {
  const peak = { label: "MatMul", run: async () => (await attune.request("matmul", {})).gflops as number };
  const [speed, bound] = (await interleave([ours, peak], context.options.runs)) as [number[], number[]];
  const fraction = speed.map((value, i) => value / (bound[i] as number));
  const shared = { bench: "train-step", case: kase.name, better: "higher" } as const;
  context.add({ ...shared, metric: "matmul peak", unit: "GFLOP/s" }, bound);
  context.add(
    { ...shared, metric: `fraction of peak${suffix}`, unit: "", target: kase.targets.peak },
    fraction,
  );
  context.add({ ...shared, metric: `speed${suffix}`, unit: "GFLOP/s" }, speed);
}

async function measure(context: Context, kase: TrainCase): Promise<void> {
  for (const { command, suffix } of variants) {
    const attune = await context.attune(command);
    if (!attune && command !== COMMAND) continue;
    const ours = attune && stepper(attune, "attune", kase, command);
    if (attune && ours) await overPeak(context, kase, attune, ours, suffix);
    for (const rival of rivals) {
      if (!context.wants(rival) || (rival.cases && !rival.cases.includes(kase.name))) continue;
      const peer = await context.start(rival, COMMAND);
      if (!peer) continue;
      const figure: Figure = {
        bench: "train-step",
        case: kase.name,
        metric: `speed${suffix}`,
        unit: "GFLOP/s",
        better: "higher",
        target: kase.targets[rival.label],
      };
      await context.versus(figure, ours, stepper(peer, rival.label, kase, COMMAND, rival.mode));
      await peer.close();
    }
    await attune?.close();
  }
}

export const trainStep: Bench = {
  name: "train-step",
  describe: "one optimiser step of three sizes",
  run: async (context) => {
    for (const kase of trainCases) if (context.selects(kase.name)) await measure(context, kase);
  },
};
