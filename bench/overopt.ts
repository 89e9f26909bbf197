/**
 * Over-optimisation on the built-in world (recipes/studies/overopt.yaml) and the frontier (recipes/studies/frontier.yaml):
 * how well Gao et al.'s curves explain the gold reward, whether it falls while the proxy rises, where the peaks are, and
 * what each algorithm gains at which KL. A study that was stopped goes on with `--resume` of its folder.
 */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { FrontierFigures, OveroptFigures } from "../src/lab/index.ts";
import type { Bench, Context } from "./bench.ts";

const folder = ".cache/bench";

function study<F>(command: string, name: string): F {
  const dir = join(folder, name);
  const fresh = [name, "--output_dir", dir];
  const goOn = ["--resume", dir];
  const args = [command, ...(existsSync(join(dir, "study.yaml")) ? goOn : fresh), "--json", "--quiet"];
  const run = spawnSync(process.execPath, ["bin/attune.js", ...args], {
    encoding: "utf8",
    maxBuffer: 2 ** 28,
  });
  if (run.status !== 0)
    throw new Error(`attune ${args.join(" ")}: exit code ${run.status}: ${run.stderr.slice(-500)}`);
  return (JSON.parse(run.stdout) as { figures: F }).figures;
}

function curves(context: Context): void {
  const { proxies, groups } = study<OveroptFigures>("overopt", "overopt");
  const row = (of: string, metric: string, unit = "") =>
    ({ bench: "overopt", case: of, metric, unit, better: "higher" }) as const;
  for (const { name, fit } of proxies) {
    if (!fit) continue;
    context.add({ ...row(`best of n, ${name}`, "R2 of d (alpha - beta d)"), target: 0.9 }, [fit.curve.r2]);
    if (fit.peak) context.add(row(`best of n, ${name}`, "peak", "sqrt(nats)"), [fit.peak.mean]);
  }
  for (const { group, fit, change } of groups) {
    if (fit) context.add({ ...row(group, "R2 of d (alpha - beta log d)"), target: 0.9 }, [fit.curve.r2]);
    if (fit?.peak) context.add(row(group, "peak", "sqrt(nats)"), [fit.peak.mean]);
    if (change.proxy !== undefined) context.add(row(group, "proxy gained"), [change.proxy]);
    if (change.gold_since_best !== undefined)
      context.add(row(group, "gold since its best"), [change.gold_since_best]);
  }
}

function algorithms(context: Context): void {
  const { settings } = study<FrontierFigures>("frontier", "frontier");
  for (const { group, seeds, kl } of settings) {
    const golds = seeds.flatMap(({ gold }) => gold ?? []);
    const at = kl ? ` at KL ${kl.mean.toFixed(2)}` : "";
    if (golds.length > 0)
      context.add(
        { bench: "frontier", case: group, metric: `gold reward${at}`, unit: "", better: "higher" },
        golds,
      );
  }
}

export const overopt: Bench = {
  name: "overopt",
  describe:
    "over-optimisation on the built-in world: curves, peaks, proxy against gold (about an hour on two cores)",
  run: async (context) => curves(context),
};

export const frontier: Bench = {
  name: "frontier",
  describe:
    "reward against KL on the built-in world, PPO and DPO, three seeds (about half an hour on two cores)",
  run: async (context) => algorithms(context),
};
