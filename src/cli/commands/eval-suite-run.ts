/** The work of `attune eval suite`: measures every model of a suite, and says where the page is. */
import { readFile } from "node:fs/promises";
import { readSuite, runSuite, type SuiteResult } from "../../recipe/suite/index.ts";
import type { Implementation } from "../command.ts";
import { counted } from "../counted.ts";
import { openEngine } from "../engine.ts";
import { UsageError } from "../failure.ts";
import { version } from "../version.ts";

interface Options {
  readonly output?: string;
  readonly overwrite?: boolean;
  readonly check?: boolean;
}

export const runEvalSuite: Implementation<Options> = async (context, options, file) => {
  if (file === undefined)
    throw new UsageError(
      "eval: a suite (a YAML file) or one of perplexity, kl, responses, suite is required",
    );
  const read = readSuite(await readFile(file, "utf8"), { source: file });
  const suite = options.output === undefined ? read : { ...read, output_dir: options.output };
  if (options.check) {
    context.result({ ok: true, metrics: suite.metrics }, `${suite.name}: nothing is wrong`);
    return;
  }
  const engine = await openEngine(context);
  let [rows, reused] = [0, 0];
  try {
    const { page, ...result } = await runSuite(suite, {
      engine,
      signal: context.signal,
      version: version(),
      overwrite: options.overwrite ?? false,
      note: context.note,
      onRow(name, known) {
        rows++;
        if (known) reused++;
        else context.note(name);
      },
    });
    context.result({ ...result, page, rows, reused }, `${linesOf(result, rows, reused)}\nthe page: ${page}`);
  } finally {
    await engine.dispose();
  }
};

function linesOf({ models, gold, leaderboard }: SuiteResult, rows: number, reused: number): string {
  const ratings = new Map(leaderboard?.bradley_terry.map(({ player, rating }) => [player, rating]));
  const lines = models.map(({ name, reward, win_rate, kl, perplexity }) => {
    const own = gold === undefined ? undefined : reward?.[gold];
    const rating = ratings.get(name);
    const figures = [
      ...(own ? [`${gold} ${own.mean.toFixed(3)} (${own.low.toFixed(3)} to ${own.high.toFixed(3)})`] : []),
      ...(win_rate ? [`wins ${(100 * win_rate.rate).toFixed(0)} %`] : []),
      ...(rating === undefined ? [] : [`rating ${rating.toFixed(0)}`]),
      ...(kl ? [`KL ${kl.model_baseline.mean.toFixed(2)} nats a response`] : []),
      ...(perplexity === undefined ? [] : [`perplexity ${perplexity.toFixed(2)}`]),
    ];
    return `  ${name}: ${figures.join(", ")}`;
  });
  return [
    `${counted(models.length, "model")}; ${reused} of ${counted(rows, "row")} from an earlier run`,
    ...lines,
  ].join("\n");
}
