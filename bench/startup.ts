/** Seconds from the start of a process to something that a person sees; needs a built `bin/attune.js`. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import type { Bench } from "./bench.ts";

const MODEL = "../shared/data/tinystories-656k";

const cases: readonly { name: string; args: readonly string[]; needs?: string; target: number }[] = [
  { name: "--help", args: ["--help"], target: 0.25 },
  {
    name: "first token of a 656k model",
    args: ["generate", "--model", MODEL, "--prompt", "Once upon a time", "--max-new-tokens", "1", "--greedy"],
    needs: MODEL,
    target: 1.2,
  },
];

function seconds(args: readonly string[]): number {
  const start = performance.now();
  const { status, stderr } = spawnSync(process.execPath, ["bin/attune.js", ...args], { encoding: "utf8" });
  if (status !== 0) throw new Error(`attune ${args.join(" ")}: exit code ${status}: ${stderr.slice(-500)}`);
  return (performance.now() - start) / 1000;
}

export const startup: Bench = {
  name: "startup",
  describe: "from the start of a process to its first output; compiling the GPT-2 train step",
  run: async (context) => {
    for (const { name, args, needs, target } of cases) {
      if (!existsSync("bin/attune.js") || (needs && !existsSync(needs)) || !context.selects(name)) continue;
      seconds(args); // builds dist/ where it is missing, and warms the disk cache
      const values = Array.from({ length: context.options.runs }, () => seconds(args));
      context.add(
        { bench: "startup", case: name, metric: "time", unit: "s", better: "lower", target },
        values,
      );
    }
    const attune = await context.attune("compile");
    if (!attune || !context.selects("compile gpt2-124m")) return;
    const values: number[] = [];
    for (let i = 0; i < context.options.runs; i++)
      values.push((await attune.request("compile", {})).seconds as number);
    const figure = {
      bench: "startup",
      case: "compile gpt2-124m",
      metric: "time",
      unit: "s",
      better: "lower",
    } as const;
    context.add({ ...figure, target: 3 }, values);
    await attune.close();
  },
};
