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

/** @param canSkip whether whoever reads could leave rows out, which is advised then */
export function collectBadRows(onBadRow: OnBadRow = "error", { canSkip = true } = {}): BadRows {
  const list: string[] = [];
  const bad: string[] = [];
  const throwIfAny = (isWhole = true) => {
    if (bad.length > 0)
      throw new DataError(
        `${listed(bad)}${isWhole ? "" : "; reading ended there"}; correct ${bad.length > 1 ? "them" : "it"}` +
          (canSkip ? ", or leave such rows out with --on-bad-row skip (onBadRow)" : ""),
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

const placeAndReason = /^(.*?:\d+): ([\s\S]*)$/;

/** The first reasons, each once with how many rows it holds for, and how many more rows there are. */
export function listed(reasons: readonly string[], most = shownRows): string {
  const byReason = new Map<string, string[]>();
  for (const told of reasons) {
    const [, place = "", reason = told] = placeAndReason.exec(told) ?? [];
    const places = byReason.get(reason);
    if (places) places.push(place);
    else byReason.set(reason, [place]);
  }
  const groups = [...byReason];
  const shown = groups.slice(0, most).map(([reason, [place, ...others]]) => {
    const more = others.length > 0 ? ` and ${others.length} more rows` : "";
    return place === "" ? reason : `${place}${more}: ${reason}`;
  });
  const left = groups.slice(most).reduce((n, [, places]) => n + places.length, 0);
  return [...shown, ...(left > 0 ? [`and ${left} more`] : [])].join("; ");
}
