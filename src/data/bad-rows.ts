/** Rows that cannot be used: collected with their places, then refused together or counted. */
import { DataError } from "./errors.ts";
import { type Source, showSource } from "./rows.ts";

export type OnBadRow = "error" | "skip";

const shownRows = 3;
/** Reading ends after so many: the file is another one than was meant. */
const mostRows = 1000;

export interface BadRows {
  /** Place and reason of each. */
  readonly list: readonly string[];
  /** @throws DataError when too many are found, unless they are skipped. */
  add(source: Source, reason: string): void;
  /** Left out because it was asked for: counted, and no error. */
  leaveOut(source: Source, reason: string): void;
  /** @throws DataError with the first bad rows, unless they are skipped. */
  throwIfAny(): void;
}

export function collectBadRows(onBadRow: OnBadRow = "error"): BadRows {
  const list: string[] = [];
  const bad: string[] = [];
  const throwIfAny = (isWhole = true) => {
    if (bad.length > 0)
      throw new DataError(
        `${listed(bad)}${isWhole ? "" : " by then"}; correct ${bad.length > 1 ? "them" : "it"}, or leave such rows out with --on-bad-row skip (onBadRow)`,
      );
  };
  const told = (source: Source, reason: string) => `${showSource(source)}: ${reason}`;
  return {
    list,
    add(source, reason) {
      (onBadRow === "skip" ? list : bad).push(told(source, reason));
      if (bad.length >= mostRows) throwIfAny(false);
    },
    leaveOut: (source, reason) => void list.push(told(source, reason)),
    throwIfAny: () => throwIfAny(),
  };
}

/** The first of them, and how many more there are. */
export const listed = (reasons: readonly string[], most = shownRows): string =>
  [...reasons.slice(0, most), ...(reasons.length > most ? [`and ${reasons.length - most} more`] : [])].join(
    "; ",
  );
