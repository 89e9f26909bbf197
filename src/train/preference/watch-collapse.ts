/**
 * A warning for losses on the margin alone: they ask that the rejected responses lose more than the chosen ones, so the
 * chosen ones may lose their probability while everything else looks well.
 */
import { total } from "../loop/plan.ts";

const collapse = 0.5;
const watched = 8; // steps

/** Tells when the chosen responses have lost much of their log-probability while the margin has grown. */
export function watchCollapse(
  beta: number,
): (metrics: Readonly<Record<string, number>>) => string | undefined {
  const last: { logps: number; drop: number; margin: number }[] = [];
  return (metrics) => {
    const drop = -(metrics["rewards/chosen"] as number) / (metrics.beta ?? beta);
    const [logps, margin] = [metrics["logps/chosen"] as number, metrics["rewards/margins"] as number];
    last.push({ logps, drop, margin });
    if (last.length > watched) last.shift();
    const mean = (of: (one: (typeof last)[number]) => number) => total(last, of) / last.length;
    const before = mean((one) => one.logps + one.drop);
    const fallen = mean((one) => one.drop);
    return last.length === watched && fallen > collapse * Math.abs(before) && mean((one) => one.margin) > 0
      ? `the log-probability of the chosen responses has fallen from ${before.toFixed(1)} to ${(before - fallen).toFixed(1)} nats ` +
          "while the margin grows; lower the learning rate, raise beta, or add their likelihood with rpo_alpha"
      : undefined;
  };
}
