/** What was run: a row a stage, from which model, on which data, how long. */
import { compactCount, count, duration } from "../format.ts";
import { type HtmlValue, html } from "../html.ts";
import type { RunData, StageData } from "../run-data.ts";
import type { Section } from "../section.ts";
import { stageName } from "../stage-name.ts";
import { type Column, table } from "../table.ts";

const columns: readonly Column<StageData>[] = [
  { title: "stage", cell: (stage) => stageName(stage), heading: true },
  { title: "trainer", cell: ({ trainer }) => trainer },
  { title: "starts from", cell: ({ model }) => model?.from },
  {
    title: "parameters",
    numeric: true,
    cell: ({ model }) => model?.parameters && compactCount(model.parameters),
  },
  { title: "rows", numeric: true, cell: ({ data }) => data?.rows !== undefined && count(data.rows) },
  {
    title: "skipped",
    numeric: true,
    cell: ({ data }) => data?.skipped !== undefined && data.skipped > 0 && count(data.skipped),
  },
  {
    title: "tokens",
    numeric: true,
    cell: ({ data }) => data?.tokens !== undefined && compactCount(data.tokens),
  },
  { title: "steps", numeric: true, cell: ({ steps }) => steps !== undefined && count(steps) },
  { title: "time", numeric: true, cell: ({ seconds }) => seconds !== undefined && duration(seconds) },
];

export const stages: Section = {
  id: "run",
  title: "What was run",
  render: (data) =>
    html`${table("The stages of the run", withStatus(data.stages), data.stages)}${facts(data)}${recipe(data)}`,
};

/** The columns, with the state of each stage where not all of them are done. */
function withStatus(all: readonly StageData[]): readonly Column<StageData>[] {
  if (all.every(({ status }) => status === undefined || status === "done")) return columns;
  const cell = ({ status }: StageData) =>
    status === "done" ? status : status && html`<span class="status">${status}</span>`;
  return [...columns, { title: "status", cell }];
}

function facts({ run: { command, seed, machine, attune, node } }: RunData): HtmlValue {
  const where = [
    machine?.cpu,
    machine?.cores !== undefined && `${machine.cores} cores`,
    machine?.memory_gib !== undefined && `${machine.memory_gib} GiB`,
  ].filter((fact) => typeof fact === "string");
  const rows: [string, HtmlValue][] = [
    ["command", command !== undefined && html`<code>${command}</code>`],
    ["seed", seed],
    ["machine", where.length > 0 && where.join(", ")],
    ["software", attune !== undefined && `Attune ${attune}${node === undefined ? "" : `, Node ${node}`}`],
  ];
  const given = rows.filter(([, value]) => value !== undefined && value !== false);
  return (
    given.length > 0 &&
    html`<dl>${given.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`
  );
}

const recipe = ({ recipe: text }: RunData): HtmlValue =>
  text !== undefined && html`<details><summary>The recipe</summary><pre>${text}</pre></details>`;
