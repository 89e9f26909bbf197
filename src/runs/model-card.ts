/**
 * The model card beside a final model: README.md with the front matter that the hub reads, and in words what the model
 * is made from, how, on what, what it was measured at, and how it is loaded. What only a person can say (licence,
 * intended use, limits) is left open in so many words.
 */
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { stringify } from "yaml";
import { writeError } from "./errors.ts";
import type { Evaluation, Interval } from "./report/schema.ts";
import { writeWhole } from "./write-whole.ts";

export interface ModelCard {
  readonly name: string;
  /** The trainer: pretrain, sft, reward, ppo, dpo. */
  readonly method: string;
  /** The model that it was trained from: a hub id, a folder, or an earlier stage. */
  readonly base?: string;
  /** Where the rows came from: files and hub ids. */
  readonly data?: readonly string[];
  readonly rows?: number;
  readonly steps?: number;
  /** Of the last step or of the held-out rows, in TRL's names. */
  readonly metrics?: Readonly<Record<string, number>>;
  readonly evaluation?: Pick<Evaluation, "reward" | "win_rate" | "kl" | "perplexity">;
  /** The weights are an adapter of the base. */
  readonly adapter?: boolean;
  /** The model gives a score instead of text. */
  readonly scores?: boolean;
  /** The command that made it. */
  readonly command?: string;
  /** The version of Attune. */
  readonly version?: string;
}

interface Method {
  readonly words: string;
  readonly paper?: string;
}

/** What each trainer does, and where it is from. */
const methods: Readonly<Record<string, Method>> = {
  pretrain: { words: "trained from nothing on plain text, to predict the next token" },
  sft: {
    words: "fine-tuned on demonstrations, to predict what was written",
    paper: "[Ouyang et al. 2022](https://arxiv.org/abs/2203.02155)",
  },
  reward: {
    words: "trained on pairs of responses, to score the preferred one higher (Bradley-Terry)",
    paper: "[Stiennon et al. 2020](https://arxiv.org/abs/2009.01325)",
  },
  ppo: {
    words:
      "optimised by PPO for the score of a reward, with a penalty on the KL divergence from its reference",
    paper:
      "[Schulman et al. 2017](https://arxiv.org/abs/1707.06347), [Ziegler et al. 2019](https://arxiv.org/abs/1909.08593)",
  },
  dpo: {
    words: "optimised on pairs of responses by direct preference optimisation",
    paper: "[Rafailov et al. 2023](https://arxiv.org/abs/2305.18290)",
  },
};

/** A card that has this line was written here and may be written again; one that has not is somebody's own. */
const mark = "<!-- written by attune; without this line it is left as it is -->";

/**
 * Writes the card into a model's folder, where there is one. A README.md that a person wrote stays.
 *
 * @returns whether it was written
 * @throws RunError when it cannot be written
 */
export async function writeModelCard(dir: string, card: ModelCard): Promise<boolean> {
  const path = join(dir, "README.md");
  const before = await readFile(path, "utf8").catch(() => mark);
  if (!before.includes(mark) || !(await isFolder(dir))) return false;
  await writeWhole(path, modelCard(card)).catch((error) => {
    throw writeError(error, path, "the model itself is there");
  });
  return true;
}

const isFolder = (dir: string): Promise<boolean> =>
  stat(dir).then(
    (found) => found.isDirectory(),
    () => false,
  );

/** The card as Markdown. */
export function modelCard(card: ModelCard): string {
  const { name, method, version } = card;
  const { words, paper } = methods[method] ?? { words: `trained by ${method}` };
  const parts = [
    `---\n${stringify(frontMatter(card))}---`,
    mark,
    `# ${oneLine(name)}`,
    `This model was ${words}${card.base === undefined ? "" : `, starting from ${code(card.base)}`}.${paper ? ` Method: ${paper}.` : ""}`,
    section("How it is loaded", loading(card)),
    section("What it was trained on", training(card)),
    section("What it was measured at", measures(card)),
    section(
      "Licence",
      "Not chosen yet: set `license` above. A model inherits the terms of its base and of its data.",
    ),
    section(
      "Intended use and limits",
      "Not written yet. Whoever publishes the model says here what it is for, what it is not for, and where it fails.",
    ),
    `Trained with [Attune](https://www.npmjs.com/package/attune)${version === undefined ? "" : ` ${version}`}${card.command === undefined ? "" : `: ${code(card.command)}`}.`,
  ];
  return `${parts.filter((part) => part !== undefined).join("\n\n")}\n`;
}

const isHubId = (name: string): boolean => /^[\w-][\w.-]*\/[\w.-]+(@[\w./-]+)?$/.test(name);

function frontMatter({ base, data = [], method, adapter, scores }: ModelCard): Record<string, unknown> {
  const datasets = data.filter(isHubId);
  return {
    ...(base !== undefined && isHubId(base) && { base_model: base.replace(/@.*/, "") }),
    ...(datasets.length > 0 && { datasets }),
    library_name: adapter ? "peft" : "transformers",
    pipeline_tag: scores ? "text-classification" : "text-generation",
    license: "unknown",
    tags: ["attune", method, ...(["reward", "ppo", "dpo"].includes(method) ? ["rlhf"] : [])],
  };
}

/** Text of one line within backticks, whatever it holds. */
function code(text: string): string {
  const line = oneLine(text);
  const fence = "`".repeat(Math.max(0, ...[...line.matchAll(/`+/g)].map(([ticks]) => ticks.length)) + 1);
  return line.includes("`") ? `${fence} ${line} ${fence}` : `${fence}${line}${fence}`;
}

const oneLine = (text: string): string => text.replace(/\s+/g, " ").trim();

const section = (title: string, text: string | undefined): string | undefined =>
  text === undefined ? undefined : `## ${title}\n\n${text}`;

const fenced = (language: string, source: string): string => `\`\`\`${language}\n${source}\n\`\`\``;

const loading = ({ scores }: ModelCard): string =>
  scores
    ? fenced("sh", "npx attune score --model . --data rows.jsonl")
    : [
        fenced("sh", 'npx attune generate --model . --prompt "..."'),
        fenced("ts", 'import { loadModel } from "attune/models";\n\nconst model = await loadModel(".");'),
      ].join("\n\n");

function training({ data = [], rows, steps }: ModelCard): string | undefined {
  const lines = [
    ...(data.length > 0 ? [`- data: ${data.map(code).join(", ")}`] : []),
    ...(rows === undefined ? [] : [`- rows: ${rows.toLocaleString("en-US")}`]),
    ...(steps === undefined ? [] : [`- steps: ${steps.toLocaleString("en-US")}`]),
  ];
  return lines.length > 0 ? lines.join("\n") : undefined;
}

function measures({ metrics = {}, evaluation = {} }: ModelCard): string | undefined {
  const { reward, win_rate: win, kl, perplexity } = evaluation;
  const digits = (value: number) => String(Number(value.toPrecision(4)));
  const interval = ({ mean, low, high }: Interval) => `${digits(mean)} (${digits(low)} to ${digits(high)})`;
  const rows: [string, string][] = [
    ...(reward ? [["held-out reward", interval(reward.overall)] as [string, string]] : []),
    ...Object.entries(reward?.axes ?? {}).map(([axis, value]): [string, string] => [axis, interval(value)]),
    ...(win
      ? [[`win rate over ${win.against}`, interval({ ...win, mean: win.rate })] as [string, string]]
      : []),
    ...(kl
      ? [[`KL from ${kl.against}, ${kl.unit}`, interval({ ...kl, mean: kl.value })] as [string, string]]
      : []),
    ...(perplexity === undefined ? [] : [["perplexity", digits(perplexity)] as [string, string]]),
    ...Object.entries(metrics).map(([name, value]): [string, string] => [code(name), digits(value)]),
  ];
  if (rows.length === 0) return undefined;
  const cell = (text: string) => oneLine(text).replaceAll("|", "\\|");
  const note = reward || win || kl ? "Intervals hold 95 %.\n\n" : "";
  return `${note}| measure | value |\n|---|---|\n${rows.map((row) => `| ${row.map(cell).join(" | ")} |`).join("\n")}`;
}
