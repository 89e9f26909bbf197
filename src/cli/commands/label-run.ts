/** The work of `attune label`. */
import { describeLabels, labelPairs } from "../../reward/judge/label.ts";
import { openJudge } from "../../reward/judge/node-open-judge.ts";
import { loadJudgePairs } from "../../reward/judge/node-pairs.ts";
import { writeWhole } from "../../runs/write-whole.ts";
import type { Implementation } from "../command.ts";
import { openEngine } from "../engine.ts";
import { refuseToReplace } from "./data-world-run.ts";

interface Options {
  readonly judge: string;
  readonly data: string;
  readonly output: string;
  readonly template?: string;
  readonly retries?: number;
  readonly concurrency?: number;
  readonly keyEnv?: string;
  readonly maxRows?: number;
  readonly dropTies?: boolean;
  readonly overwrite?: boolean;
}

export const runLabel: Implementation<Options> = async (context, options) => {
  const { judge, data, output, template, retries, concurrency, keyEnv, maxRows, dropTies } = options;
  const { signal } = context;
  if (!options.overwrite) await refuseToReplace([output]);
  const { pairs, rows: read, skipped } = await loadJudgePairs(data, { signal });
  const engine = await openEngine(context);
  try {
    const opened = await openJudge(judge, {
      engine,
      signal,
      onWarning: context.note,
      asking: {
        ...(template !== undefined && { template }),
        ...(retries !== undefined && { retries }),
        ...(concurrency !== undefined && { concurrency }),
        ...(keyEnv !== undefined && { key_env: keyEnv }),
      },
    });
    try {
      const length = Math.min(pairs.length, maxRows ?? pairs.length);
      const progress = context.progress({ label: "label", total: length });
      const { rows, summary } = await labelPairs(
        opened,
        { length, at: (i) => pairs.at(i) },
        {
          signal,
          ...(dropTies && { dropTies }),
          onProgress: (done) => progress.update(done, { units: done }),
        },
      );
      progress.done();
      await writeWhole(output, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
      context.result(
        { output, rows: read, skipped: skipped.length, ...summary },
        [...describeLabels(summary), `they are in ${output}; try: attune reward --data ${output} ...`].join(
          "\n",
        ),
      );
    } finally {
      await opened.dispose();
    }
  } finally {
    await engine.dispose();
  }
};
