/** What a model said while it trained: some of samples.jsonl, from the first step to the last, folded away. */
import { count, score } from "../format.ts";
import { type Html, html } from "../html.ts";
import type { StageData } from "../run-data.ts";
import type { TrainingSample } from "../schema.ts";
import { type Column, table } from "../table.ts";

/** Rows of the table. */
const most = 16;

const columns: readonly Column<TrainingSample>[] = [
  { title: "step", numeric: true, heading: true, cell: ({ step }) => count(step) },
  { title: "prompt", prose: true, cell: ({ prompt }) => prompt.trim() },
  { title: "response", prose: true, cell: ({ completion }) => completion.trim() },
  { title: "score", numeric: true, cell: ({ score: value }) => typeof value === "number" && score(value) },
];

export function samples({ name, samples: all }: Pick<StageData, "name" | "samples">): Html | undefined {
  if (all.length === 0) return undefined;
  const shown =
    all.length <= most
      ? all
      : Array.from(
          { length: most },
          (_, i) => all[Math.round((i * (all.length - 1)) / (most - 1))] as TrainingSample,
        );
  return html`<details><summary>What ${name} said while it trained</summary>${table(`Samples of ${name} while it trained`, columns, shown)}</details>`;
}
