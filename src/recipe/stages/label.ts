/** The stage `label`: preference pairs labelled by a judge, asked in both orders; later stages name it as their data. */
import { join } from "node:path";
import { z } from "zod";
import { describeLabels, labelPairs } from "../../reward/judge/label.ts";
import { loadJudgePairs } from "../../reward/judge/node-pairs.ts";
import { writeJson, writeWhole } from "../../runs/write-whole.ts";
import { judgeKey, judgeOf } from "../judges.ts";
import { count, flag, rowKeys } from "../keys.ts";
import { stageKind } from "../stage.ts";

const { data, format, on_bad_row } = rowKeys;

export const labelStage = stageKind({
  name: "label",
  description: "label preference pairs by a judge, asked in both orders",
  keys: z.strictObject({
    judge: judgeKey,
    data,
    format,
    on_bad_row,
    max_rows: count("pairs that are labelled, the first of the data (default: all)"),
    drop_ties: flag("leave out pairs of which the judge prefers neither", { default: false }),
    batch_size: count("pairs that are judged together", { default: 64 }),
  }),
  required: ["judge", "data"],
  models: ["judge"],
  leavesModel: false,
  limit: "max_rows",
  answers: false,
  shown: ["agreement", "labelled"],
  next: (output) =>
    `the pairs are in ${output}/pairs.jsonl; try: attune reward --data ${output}/pairs.jsonl ...`,
  async run({ judge, ...keys }, context) {
    const { signal, note } = context;
    const read = await loadJudgePairs(context.data(keys.data as string), {
      signal,
      ...(keys.format !== undefined && { format: keys.format }),
      ...(keys.on_bad_row !== undefined && { onBadRow: keys.on_bad_row as "error" | "skip" }),
    });
    const length = Math.min(read.pairs.length, keys.max_rows ?? read.pairs.length);
    context.onStart({ totalSteps: length, step: 0, tokens: 0 });
    const opened = await judgeOf(judge, {}, context);
    try {
      const { rows, summary } = await labelPairs(
        opened,
        { length, at: (i) => read.pairs.at(i) },
        {
          signal,
          ...(keys.drop_ties !== undefined && { dropTies: keys.drop_ties }),
          ...(keys.batch_size !== undefined && { batchSize: keys.batch_size }),
          onProgress: (step, totalSteps) => context.onStep({ step, totalSteps, metrics: {} }),
        },
      );
      for (const line of describeLabels(summary)) note(line);
      await writeWhole(
        join(context.dir, "pairs.jsonl"),
        rows.map((row) => `${JSON.stringify(row)}\n`).join(""),
      );
      await writeJson(join(context.dir, "label.json"), summary);
      const { judge: _, ...figures } = summary;
      const metrics = Object.fromEntries(
        Object.entries(figures).filter((entry): entry is [string, number] => typeof entry[1] === "number"),
      );
      return {
        metrics,
        steps: length,
        reason: "done",
        data: { rows: read.rows, skipped: read.skipped.length },
      };
    } finally {
      await opened.dispose();
    }
  },
});
