/**
 * Rows of data as pairs for a judge (Node): `prompt` with `response_1` and `response_2`, or with `chosen` and `rejected`,
 * or any other format of preferences. A label that the row has is kept apart, to be compared with the judge's.
 */
import { z } from "zod";
import type { DataInput } from "../../data/input.ts";
import type { RowList } from "../../data/list.ts";
import { type LoadOptions, loadRows, rawRowsOf } from "../../data/node-load.ts";
import { createPairing } from "../../data/pairing.ts";
import { preferencePurpose } from "../../data/preferences.ts";
import type { Message, RowOf, Sourced, Text } from "../../data/rows.ts";
import { randomBits } from "../../graph/random.ts";
import type { JudgePair, Preference } from "./judge.ts";

/** A pair to be judged. */
export interface UnjudgedPair extends JudgePair {
  /** The label of the row: P(first is better); undefined where it has none. */
  readonly label: Preference;
}

/**
 * Reads pairs, labelled or not. Which response comes first does not follow from the label.
 *
 * @throws DataError with file, line and reason of rows that cannot be used
 */
export async function loadJudgePairs(
  data: DataInput,
  options: LoadOptions = {},
): Promise<{
  readonly pairs: RowList<UnjudgedPair>;
  readonly rows: number;
  readonly skipped: readonly string[];
}> {
  if (await isUnlabelled(data, options)) return unlabelled(data, options);
  const { items, rows, skipped } = await loadRows(
    data,
    preferencePurpose,
    () => createPairing(labelledPair, options),
    { ...options, chat: true },
  );
  return { pairs: items, rows, skipped };
}

const unlabelledRow = z.looseObject({
  prompt: z.string(),
  response_1: z.string().min(1),
  response_2: z.string().min(1),
  preference: z.undefined().optional(),
});

async function isUnlabelled(data: DataInput, options: LoadOptions): Promise<boolean> {
  for await (const { value } of rawRowsOf(data, options)) return unlabelledRow.safeParse(value).success;
  return false;
}

/** Rows without a label are read as pairs with one that is then forgotten, so that bad ones are told alike. */
async function unlabelled(data: DataInput, options: LoadOptions) {
  const rows: Record<string, unknown>[] = [];
  for await (const { value } of rawRowsOf(data, options))
    rows.push({ ...(value as Record<string, unknown>), preference: 1 });
  const { items, ...counts } = await loadRows(
    rows,
    preferencePurpose,
    () =>
      createPairing((row) => {
        const { preference: _, ...others } = row.row;
        return { ...labelledPair(row), row: others, label: undefined };
      }, options),
    { ...options, chat: true },
  );
  return { pairs: items, rows: counts.rows, skipped: counts.skipped };
}

function labelledPair(row: Sourced<RowOf<"preference">>): UnjudgedPair {
  const { prompt, chosen, rejected, tie, source } = row;
  const [good, other] = [textOf(chosen), textOf(rejected)];
  const isFirst = randomBits(source.line, 11) % 2 === 0;
  return {
    ...(typeof prompt === "string"
      ? { prompt }
      : { prompt: prompt.map(({ role, content }) => `${role}: ${content}`).join("\n"), messages: prompt }),
    first: isFirst ? good : other,
    second: isFirst ? other : good,
    label: tie ? 0.5 : isFirst ? 1 : 0,
    row: row.row,
  };
}

const textOf = (text: Text): string =>
  typeof text === "string" ? text : (text as readonly Message[]).map(({ content }) => content).join("\n");
