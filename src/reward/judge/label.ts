/**
 * Preference pairs labelled by a judge (Bai et al. 2022; Lee et al. 2023): what the judge prefers is chosen, pairs
 * without an answer are left out and counted, and where the data has labels the agreement with them is told.
 */
import { RewardError } from "../reward.ts";
import { describeAnswers, type JudgePair, type JudgeReport, type OpenedJudge } from "./judge.ts";
import type { UnjudgedPair } from "./node-pairs.ts";

/** A row of preference data, as the trainers read it. */
export interface LabelledPair {
  readonly prompt: JudgePair["prompt"] | NonNullable<JudgePair["messages"]>;
  readonly chosen: string;
  readonly rejected: string;
  readonly tie?: true;
  /** P(chosen is better), as the judge has it. */
  readonly confidence: number;
  readonly judge: string;
  /** Columns of the row that say something of the prompt. */
  readonly [column: string]: unknown;
}

export interface LabelSummary extends JudgeReport {
  readonly judge: string;
  readonly labelled: number;
  /** Pairs of which the judge prefers neither. */
  readonly ties: number;
  /** Share of pairs with a decided label where the judge prefers the same response; a tie counts half. */
  readonly agreement?: number;
  /** Pairs that this is over. */
  readonly compared: number;
  /** Of these, pairs of which the judge prefers neither. */
  readonly compared_ties: number;
}

export interface LabelOptions {
  /** Pairs that are judged together. Default 64. */
  readonly batchSize?: number;
  /** Leave out pairs of which the judge prefers neither. Default false: they are marked as ties. */
  readonly dropTies?: boolean;
  readonly signal?: AbortSignal;
  readonly onProgress?: (done: number, total: number) => void;
}

/** Columns that hold the old label, or depend on it. */
const labels =
  /^(chosen|rejected|response_[12]|preference|tie|margin|noise|annotator|.*_(chosen|rejected)|completions|ranks|order|ratings?)$/;

/**
 * Labels the pairs.
 *
 * @throws RewardError when none of them gets a label: there is nothing to learn from
 */
export async function labelPairs(
  { name, judge, report }: OpenedJudge,
  pairs: { readonly length: number; at(i: number): UnjudgedPair | undefined },
  { batchSize = 64, dropTies = false, signal, onProgress }: LabelOptions = {},
): Promise<{ readonly rows: LabelledPair[]; readonly summary: LabelSummary }> {
  const rows: LabelledPair[] = [];
  let [ties, compared, comparedTies, agreed] = [0, 0, 0, 0];
  for (let from = 0; from < pairs.length; from += batchSize) {
    signal?.throwIfAborted();
    const size = Math.min(batchSize, pairs.length - from);
    const batch = Array.from({ length: size }, (_, i) => pairs.at(from + i) as UnjudgedPair);
    const found = await judge(batch, signal ? { signal } : {});
    for (const [i, pair] of batch.entries()) {
      const preference = found[i];
      if (preference === undefined) continue;
      if (pair.label !== undefined && pair.label !== 0.5) {
        compared++;
        if (preference === 0.5) comparedTies++;
        else agreed += Number(preference > 0.5 === pair.label > 0.5);
      }
      if (preference === 0.5) ties++;
      if (preference === 0.5 && dropTies) continue;
      rows.push(labelled(pair, preference, name));
    }
    onProgress?.(from + size, pairs.length);
  }
  const summary: LabelSummary = {
    judge: name,
    ...report(),
    labelled: rows.length,
    ties,
    ...(compared > 0 && { agreement: (agreed + comparedTies / 2) / compared }),
    compared,
    compared_ties: comparedTies,
  };
  if (rows.length === 0) throw new RewardError(noLabel(summary, pairs.length));
  return { rows, summary };
}

/** Why there is no row, and what to do about it. */
function noLabel(summary: LabelSummary, length: number): string {
  const { judge, ties, questions } = summary;
  if (ties > 0)
    return `label: ${judge} prefers neither response in ${ties} of ${length} pairs, no other pair has an answer that counts, and ties are left out; keep ties, or take another judge`;
  return (
    `label: no pair got an answer that counts, of ${length}${questions > 0 ? ` (${describeAnswers(summary)})` : ""}; ` +
    `look at the replies of ${judge}, or take another template or judge`
  );
}

function labelled(pair: UnjudgedPair, preference: number, judge: string): LabelledPair {
  const { prompt, messages, first, second, row = {} } = pair;
  const [chosen, rejected] = preference >= 0.5 ? [first, second] : [second, first];
  const others = Object.fromEntries(
    Object.entries(row).filter(([column]) => column !== "prompt" && !labels.test(column)),
  );
  return {
    prompt: messages ?? prompt,
    chosen,
    rejected,
    ...(preference === 0.5 && { tie: true as const }),
    confidence: Math.max(preference, 1 - preference),
    judge,
    ...others,
  };
}

/** The summary in sentences. */
export function describeLabels(s: LabelSummary): string[] {
  const percent = (x: number) => `${(100 * x).toFixed(1)} %`;
  return [
    `${s.labelled} of ${s.pairs} pairs labelled by ${s.judge}, ${s.ties} ties, ${s.excluded} excluded without an answer`,
    ...(s.questions > 0
      ? [
          `${describeAnswers(s)}; ` +
            `${s.inconsistent} pairs changed with the order` +
            (s.first_share === undefined
              ? ""
              : `, what stood first was preferred in ${percent(s.first_share)}`),
        ]
      : []),
    ...(s.agreement === undefined
      ? []
      : [
          `agreement with the labels of the data: ${percent(s.agreement)} of ${s.compared}` +
            (s.compared_ties === 0
              ? ""
              : `, counting ${s.compared_ties} ${s.compared_ties === 1 ? "tie" : "ties"} half`),
        ]),
  ];
}
