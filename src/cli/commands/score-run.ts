/** The work of `attune score`. */

import type { RowList } from "../../data/list.ts";
import { mean, standardDeviation } from "../../evaluate/bootstrap.ts";
import { AttuneError } from "../../graph/errors.ts";
import type { Engine } from "../../graph/index.ts";
import { loadModel } from "../../models/load.ts";
import type { Tokenizer } from "../../models/tokenizer/tokenizer.ts";
import { type Attribution, createAttributor } from "../../reward/attribution/attribution.ts";
import { responseRows } from "../../reward/checkpoint-reward.ts";
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
import { joinedIds } from "../../reward/rows.ts";
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
  readonly attribute?: Attribution;
}

export const runScore: Implementation<Options> = async (context, options) => {
  if (options.listRules) return listRules(context);
  const { model, reward, data, batchSize } = options;
  const wrong = (message: string) => new AttuneError(`score: ${message}`, { wrongUsage: true });
  if ((model === undefined) === (reward === undefined))
    throw wrong(`either --model or --reward is required, got ${model === undefined ? "neither" : "both"}`);
  if (data === undefined)
    throw wrong("--data is required: a file with text, prompt and completion, or messages");
  const { attribute } = options;
  if (attribute !== undefined && (model === undefined || isEnsemble(model)))
    throw wrong("--attribute needs --model, a reward model; of an ensemble name one of its members");
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
    const tokens =
      attribute === undefined
        ? undefined
        : await attributed(engine, model as string, inputs, attribute, signal);
    const names = Object.keys(parts);
    const rows = scores.map((score, i) => ({
      score,
      ...(names.length > 0 && {
        parts: Object.fromEntries(names.map((name) => [name, parts[name]?.[i] as number])),
      }),
      ...(disagreement && { disagreement: disagreement[i] as number }),
      ...(tokens && { tokens: tokens[i] as TokenWeight[] }),
    }));
    const summary = { reward: opened.name, mean: mean(scores), std: standardDeviation(scores) };
    const lines = rows.map(({ score }, i) => {
      const line = `${score.toFixed(4).padStart(9)}  ${shown(inputs.at(i) as RewardInput)}`;
      return tokens ? `${line}\n${weightLine(tokens[i] as TokenWeight[])}` : line;
    });
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

interface TokenWeight {
  readonly token: string;
  readonly weight: number;
}

/** What each token of each row, as the model reads it, has to do with its score: see attribution.ts for what it means. */
async function attributed(
  engine: Engine,
  name: string,
  inputs: RowList<RewardInput>,
  method: Attribution,
  signal: AbortSignal,
): Promise<TokenWeight[][]> {
  const model = await loadModel(name, { signal });
  const { tokenizer } = model;
  const rowOf = responseRows(model, tokenizer);
  const attributor = await createAttributor(engine, model);
  try {
    const rows = [...inputs].map((input) => Array.from(joinedIds(rowOf(input))));
    const weights = await attributor.attribute(rows, method);
    return rows.map((ids, r) =>
      ids.map((id, t) => ({
        token: tokenizer?.decode([id], { skipSpecialTokens: false }) ?? String(id),
        weight: weights[r]?.[t] as number,
      })),
    );
  } finally {
    await attributor.dispose();
  }
}

/** Tokens with their weights, on one line. */
export const weightLine = (tokens: readonly TokenWeight[]): string =>
  `           ${tokens.map(({ token, weight }) => `${JSON.stringify(token).slice(1, -1)} ${signed(weight)}`).join(" | ")}`;

/** Two decimals with a sign; what is rounded to zero is no longer below it. */
function signed(weight: number): string {
  const text = weight.toFixed(2);
  if (Number(text) === 0) return "+0.00";
  return weight > 0 ? `+${text}` : text;
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
