/** The work of `attune score`. */
import { mean, standardDeviation } from "../../evaluate/bootstrap.ts";
import { AttuneError } from "../../graph/errors.ts";
import type { Engine } from "../../graph/index.ts";
import { loadModel } from "../../models/load.ts";
import type { Tokenizer } from "../../models/tokenizer/tokenizer.ts";
import { isEnsemble } from "../../reward/ensemble/node-folder.ts";
import {
  checkpointReward,
  type OpenedReward,
  openReward,
  type RewardInput,
  rules,
  scoreRows,
} from "../../reward/index.ts";
import { loadRewardInputs } from "../../reward/node-inputs.ts";
import type { Implementation } from "../command.ts";
import type { CliContext } from "../context.ts";
import { counted } from "../counted.ts";
import { openEngine } from "../engine.ts";

interface Options {
  readonly model?: string;
  readonly reward?: readonly string[];
  readonly data?: string;
  readonly batchSize: number;
  readonly listRules?: boolean;
}

export const runScore: Implementation<Options> = async (context, options) => {
  if (options.listRules) return listRules(context);
  const { model, reward, data, batchSize } = options;
  const wrong = (message: string) => new AttuneError(`score: ${message}`, { wrongUsage: true });
  if ((model === undefined) === (reward === undefined))
    throw wrong(`either --model or --reward is required, got ${model === undefined ? "neither" : "both"}`);
  if (data === undefined)
    throw wrong("--data is required: a file with text, prompt and completion, or messages");
  const { signal } = context;
  let engine: Engine | undefined;
  let opened: (OpenedReward & { readonly tokenizer?: Tokenizer | undefined }) | undefined;
  try {
    engine = await openEngine(context);
    opened =
      model === undefined
        ? await openReward(reward as readonly string[], { engine, signal })
        : await openModel(engine, model, batchSize, signal);
    const inputs = await loadRewardInputs(data, { signal, tokenizer: opened.tokenizer });
    const progress = context.progress({ label: "score", total: inputs.length });
    const { scores, parts, disagreement } = await scoreRows(opened, inputs, {
      batchSize,
      signal,
      onProgress: (done) => progress.update(done, { units: done }),
    });
    progress.done();
    const names = Object.keys(parts);
    const rows = scores.map((score, i) => ({
      score,
      ...(names.length > 0 && {
        parts: Object.fromEntries(names.map((name) => [name, parts[name]?.[i] as number])),
      }),
      ...(disagreement && { disagreement: disagreement[i] as number }),
    }));
    const summary = { reward: opened.name, mean: mean(scores), std: standardDeviation(scores) };
    const lines = rows.map(
      ({ score }, i) => `${score.toFixed(4).padStart(9)}  ${shown(inputs.at(i) as RewardInput)}`,
    );
    context.result(
      { ...summary, rows },
      [
        ...lines,
        `mean ${summary.mean.toFixed(4)}, std ${summary.std.toFixed(4)} over ${counted(rows.length, "row")}`,
      ].join("\n"),
    );
  } finally {
    await opened?.dispose();
    await engine?.dispose();
  }
};

/** A model that is scored with its own ids, or the folder of an ensemble. */
async function openModel(engine: Engine, name: string, batchSize: number, signal: AbortSignal) {
  if (isEnsemble(name)) return openReward({ model: name, batch_size: batchSize }, { engine, signal });
  const model = await loadModel(name, { signal });
  const { tokenizer } = model;
  const opened = await checkpointReward(model, {
    engine,
    batchSize,
    ...(tokenizer && { policyTokenizer: tokenizer }),
  });
  return { ...opened, tokenizer };
}

const shownLength = 80;

/** How the scored text begins, on one line. */
function shown({ completion }: RewardInput): string {
  const line = completion.replace(/\s+/g, " ").trim();
  return line.length > shownLength ? `${line.slice(0, shownLength - 1)}…` : line;
}

function listRules(context: CliContext): void {
  const rows = Object.entries(rules).map(([name, { description, range, options, flawed = false }]) => ({
    name,
    description,
    range,
    options: Object.keys(options.shape),
    flawed,
  }));
  const text = rows.map(
    ({ name, description, range, options, flawed }) =>
      `${name}${options.length > 0 ? ` (${options.join(", ")})` : ""}${flawed ? ", flawed on purpose" : ""}\n` +
      `    ${description}; ${range}`,
  );
  context.result(rows, text.join("\n"));
}
