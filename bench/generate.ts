/** Tokens per second of whole generation calls, prompt included, beside `transformers` and Transformers.js. */
import { existsSync } from "node:fs";
import type { Bench, Context, Rival } from "./bench.ts";
import { type GenerateCase, generateCases } from "./cases.ts";
import { startJs, startTorch } from "./contestants.ts";
import type { Contestant, Figure } from "./harness.ts";
import type { Peer } from "./peer.ts";

interface GenerateRival extends Rival {
  readonly mode: string;
  /** Reads the model folder that `attune export` wrote instead of drawing weights. */
  readonly exported?: true;
}

const rivals: readonly GenerateRival[] = [
  { label: "torch eager", family: "torch", mode: "eager", start: startTorch },
  { label: "torch bf16", family: "torch", mode: "bf16", start: startTorch },
  {
    label: "transformers.js",
    family: "js",
    mode: "fp32",
    start: (n) => startJs("transformers.mjs", n),
    exported: true,
  },
];

/** Attune in single precision, and with its weights in 8 bits. */
const variants = [
  { command: "generate", suffix: "" },
  { command: "generate_int8", suffix: ", int8" },
] as const;

const COMMAND = "generate";

/** Where the exported ONNX model of a case is; `export` in Attune's process writes it. */
const exportFolder = (kase: GenerateCase) => `.cache/bench/models/${kase.name.split(" ")[0]}`;

function generator(
  peer: Peer,
  label: string,
  kase: GenerateCase,
  command: string,
  { mode, folder }: { mode: string; folder?: string | undefined } = { mode: "fp32" },
): Contestant {
  const { batch, prompt, newTokens, samples } = kase;
  const model = folder ? { ...kase.model, folder } : kase.model;
  const parameters = { model, batch, prompt, new_tokens: newTokens, samples, sample: true, mode };
  return { label, run: async () => (await peer.request(command, parameters)).tokens_per_second as number };
}

async function measure(context: Context, kase: GenerateCase): Promise<void> {
  for (const { command, suffix } of variants) {
    const attune = await context.attune(command);
    if (!attune && command !== COMMAND) continue;
    const ours = attune && generator(attune, "attune", kase, command);
    for (const rival of rivals) {
      if (!context.wants(rival) || (rival.exported && (kase.samples > 1 || command !== COMMAND))) continue;
      const folder = rival.exported && exportFolder(kase);
      if (folder && attune?.commands.includes("export"))
        await attune.request("export", { model: kase.model, folder });
      if (folder && !existsSync(folder)) continue;
      const peer = await context.start(rival, COMMAND);
      if (!peer) continue;
      const figure: Figure = {
        bench: "generate",
        case: kase.name,
        metric: `speed${suffix}`,
        unit: "tok/s",
        better: "higher",
        target: kase.targets[rival.label + suffix],
      };
      await context.versus(
        figure,
        ours,
        generator(peer, rival.label, kase, COMMAND, { mode: rival.mode, folder }),
      );
      await peer.close();
    }
    await attune?.close();
  }
}

export const generate: Bench = {
  name: "generate",
  describe: "whole generation calls, prompt included",
  run: async (context) => {
    for (const kase of generateCases) if (context.selects(kase.name)) await measure(context, kase);
  },
};
