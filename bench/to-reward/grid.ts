/**
 * The grid of ppo-to-reward: the same settings for both sides, what each reached with each, and who won. The file
 * beside it, grid.json, is written by `npm run bench -- --only ppo-to-reward --peer trl-ppo --grid` and committed.
 */
import { readFileSync, writeFileSync } from "node:fs";

/** Settings that both sides try, each with each. */
export const grid = {
  learning_rate: [3e-4, 1e-3, 2e-3, 4e-3],
  num_ppo_epochs: [1, 2, 4],
  kl_coef: [0.05],
} as const;

export type Setting = Readonly<Record<keyof typeof grid, number>>;

export const settings: readonly Setting[] = grid.learning_rate.flatMap((learning_rate) =>
  grid.num_ppo_epochs.flatMap((num_ppo_epochs) =>
    grid.kl_coef.map((kl_coef) => ({ learning_rate, num_ppo_epochs, kl_coef })),
  ),
);

/** A training run: gold and seconds at each snapshot. */
export interface Trial {
  readonly gold: readonly number[];
  readonly seconds: readonly number[];
}

/** When a run reached the target, in iterations and in seconds of training. */
export interface Reached {
  readonly steps: number;
  readonly seconds: number;
}

/**
 * Where gold first reaches the target, on straight lines between snapshots; `start` is gold before training. Undefined
 * where it never does.
 */
export function reachedAt(trial: Trial, target: number, start: number, every: number): Reached | undefined {
  const { gold, seconds } = trial;
  const at = gold.findIndex((value) => value >= target);
  if (at < 0) return undefined;
  const before = at === 0 ? start : (gold[at - 1] as number);
  const share = (target - before) / ((gold[at] as number) - before);
  const from = at === 0 ? 0 : (seconds[at - 1] as number);
  return {
    steps: every * (at + share),
    seconds: from + share * ((seconds[at] as number) - from),
  };
}

/** One side's trial of one setting, as it is committed. */
export interface GridRow extends Setting, Trial {
  /** Nothing where the target was not reached. */
  readonly reached: Reached | null;
}

export interface GridResult {
  readonly machine: string;
  readonly target: number;
  /** Gold of the policy before training. */
  readonly start: number;
  readonly snapshot_every: number;
  readonly sides: Readonly<Record<string, readonly GridRow[]>>;
}

const path = "bench/to-reward/grid.json";

export const readGrid = (): GridResult => JSON.parse(readFileSync(path, "utf8")) as GridResult;

/** A row a line: what changed is seen in a diff. */
export function writeGrid(result: GridResult): void {
  const short = (_: string, value: unknown) =>
    typeof value === "number" ? Number(value.toPrecision(4)) : value;
  const { sides, ...rest } = result;
  const rows = Object.entries(sides).map(
    ([side, found]) =>
      `    ${JSON.stringify(side)}: [\n${found.map((row) => `      ${JSON.stringify(row, short)}`).join(",\n")}\n    ]`,
  );
  const head = Object.entries(rest).map(([key, value]) => `  "${key}": ${JSON.stringify(value, short)}`);
  writeFileSync(path, `{\n${head.join(",\n")},\n  "sides": {\n${rows.join(",\n")}\n  }\n}\n`);
}

/** The setting with which a side was fastest; undefined where none reached the target. */
export const winnerOf = (rows: readonly GridRow[]): GridRow | undefined =>
  rows
    .filter(({ reached }) => reached !== null)
    .sort((a, b) => (a.reached as Reached).seconds - (b.reached as Reached).seconds)[0];
