/** The work of `attune eval responses`. */
import {
  bootstrap,
  distinctN,
  type Interval,
  type LengthStatistics,
  lengthStatistics,
  repetition,
  type WinRate,
  winRate,
} from "../../evaluate/index.ts";
import { AttuneError } from "../../graph/errors.ts";
import type { Engine } from "../../graph/index.ts";
import { type OpenedReward, openReward, type RewardInput, scoreRows } from "../../reward/index.ts";
import { loadRewardInputs } from "../../reward/node-inputs.ts";
import type { Implementation } from "../command.ts";
import { counted } from "../counted.ts";
import { openEngine } from "../engine.ts";

interface Options {
  readonly data: string;
  readonly reward?: readonly string[];
  readonly against?: string;
  readonly seed: number;
}

interface Summary {
  readonly responses: number;
  readonly length: LengthStatistics & { readonly unit: "words" };
  readonly distinct_1: number;
  readonly distinct_2: number;
  /** Share of runs of three words that stood in the response before. */
  readonly repetition: number;
  readonly reward?: Interval & { readonly name: string };
  readonly win_rate?: WinRate & { readonly against: string };
}

export const runResponses: Implementation<Options> = async (context, options) => {
  const { data, reward, against, seed } = options;
  const { signal } = context;
  if (against !== undefined && reward === undefined)
    throw new AttuneError("eval responses: --against needs a --reward that decides who wins", {
      wrongUsage: true,
    });
  const rows = await readAll(data, signal);
  const others = against === undefined ? undefined : await readAll(against, signal);
  if (others) checkPrompts(rows, others, against as string);
  let engine: Engine | undefined;
  let opened: OpenedReward | undefined;
  try {
    if (reward) {
      engine = await openEngine(context);
      opened = await openReward(reward, { engine, signal });
    }
    const scores = opened && (await scoreRows(opened, rows, { signal })).scores;
    const theirs = opened && others && (await scoreRows(opened, others, { signal })).scores;
    const texts = rows.map(({ completion }) => completion);
    const summary: Summary = {
      responses: rows.length,
      length: { ...lengthStatistics(texts), unit: "words" },
      distinct_1: distinctN(texts, 1),
      distinct_2: distinctN(texts, 2),
      repetition: repetition(texts),
      ...(opened && scores && { reward: { name: opened.name, ...bootstrap(scores, undefined, { seed }) } }),
      ...(scores &&
        theirs && { win_rate: { against: against as string, ...winRate(scores, theirs, { seed }) } }),
    };
    context.result(summary, textOf(summary));
  } finally {
    await opened?.dispose();
    await engine?.dispose();
  }
};

const readAll = async (path: string, signal: AbortSignal): Promise<RewardInput[]> =>
  Array.from(await loadRewardInputs(path, { signal }));

/** @throws AttuneError when the files do not answer the same prompts in the same order */
function checkPrompts(a: readonly RewardInput[], b: readonly RewardInput[], against: string): void {
  const differs = a.findIndex(({ prompt }, i) => prompt !== b[i]?.prompt);
  if (a.length !== b.length || differs >= 0)
    throw new AttuneError(
      `${against}: responses to the same prompts in the same order are required; ` +
        (a.length === b.length
          ? `row ${differs + 1} has another prompt`
          : `${a.length} rows against ${b.length}`),
    );
}

function textOf({
  responses,
  length,
  distinct_1,
  distinct_2,
  repetition: repeats,
  reward,
  win_rate,
}: Summary): string {
  const interval = ({ low, high }: { low: number; high: number }) =>
    `[${low.toFixed(4)}, ${high.toFixed(4)}]`;
  return [
    `${counted(responses, "response")} of ${length.mean.toFixed(1)} words (std ${length.std.toFixed(1)}, ${length.min} to ${length.max})`,
    `distinct-1 ${distinct_1.toFixed(4)}, distinct-2 ${distinct_2.toFixed(4)}, repetition ${repeats.toFixed(4)}`,
    ...(reward ? [`reward ${reward.mean.toFixed(4)} ${interval(reward)} (${reward.name})`] : []),
    ...(win_rate
      ? [`win rate ${(100 * win_rate.rate).toFixed(1)} % ${interval(win_rate)} against ${win_rate.against}`]
      : []),
  ].join("\n");
}
