/**
 * How near the trainers come to the best that any policy can do, on a problem that is small enough to enumerate (see
 * src/lab): J(pi) / J*, exactly, with rewards whose mean under the reference is 0, so that the reference's J is 0 and
 * the ratio is at the same time the share of the possible gain.
 */
import type { Bench } from "./bench.ts";
import { offlineMethods } from "./optimum-offline.ts";

/** Methods on own samples; the offline ones are in their table. */
const online = [
  "ppo",
  "reinforce",
  "rloo",
  "grpo",
  "trpo",
  "expert-iteration",
  "online-dpo",
  "nash-md",
  "best-of-n",
] as const;

export const optimum: Bench = {
  name: "optimum",
  describe:
    "methods on own samples, and every offline method on drawn preferences, beside the closed-form optimum of reward against KL",
  run: async (context) => {
    for (const kase of [...online, ...Object.keys(offlineMethods)]) {
      if (!context.selects(kase)) continue;
      const attune = await context.attune("optimum");
      if (!attune) return;
      const figures: Record<string, number[]> = { share: [], kl: [], optimal_kl: [], seconds: [] };
      // Each run is another problem: another reference, other rewards, other draws.
      for (let seed = 0; seed < context.options.runs; seed++) {
        const found = await attune.request("optimum", { trainer: kase, seed });
        for (const [name, values] of Object.entries(figures)) values.push(found[name] as number);
      }
      const { share, kl, optimal_kl, seconds } = figures as Record<string, number[]>;
      const row = { bench: "optimum", case: kase, unit: "", better: "higher" } as const;
      // A method whose loss has another minimum has no target to miss.
      const target = offlineMethods[kase]?.exact === false ? {} : { target: 0.95 };
      context.add({ ...row, metric: "J / J*", ...target }, share as number[]);
      context.add({ ...row, metric: "KL", unit: "nats a response" }, kl as number[]);
      context.add({ ...row, metric: "KL of the optimum", unit: "nats a response" }, optimal_kl as number[]);
      context.add({ ...row, metric: "training", unit: "s", better: "lower" }, seconds as number[]);
      await attune.close();
    }
  },
};
