/** What a benchmark is, and what the runner gives it. */
import { startAttune, Unavailable } from "./contestants.ts";
import {
  type Contestant,
  comparisonOf,
  type Figure,
  interleave,
  type Provenance,
  type Row,
  rowOf,
} from "./harness.ts";
import type { Peer } from "./peer.ts";

export interface Options {
  /** Families of peers to run beside us. */
  readonly peers: readonly string[];
  /** Cases to run; empty means all. */
  readonly cases: readonly string[];
  readonly runs: number;
  readonly threads: number;
  /** Search hyper-parameters anew where a benchmark has a grid of them. */
  readonly grid: boolean;
}

/** What `--peer` may name. */
export const families = ["torch", "js", "trl", "trl-ppo"] as const;
export type Family = (typeof families)[number];

/** Someone to be compared with; `family` is what `--peer` names. */
export interface Rival {
  readonly label: string;
  readonly family: Family;
  readonly start: (threads: number) => Promise<Peer>;
}

export interface Bench {
  readonly name: string;
  readonly describe: string;
  readonly run: (context: Context) => Promise<void>;
}

const note = (text: string) => process.stderr.write(`${text}\n`);

/** Collects rows; starts contestants and says why one cannot run. */
export class Context {
  readonly options: Options;
  readonly rows: Row[] = [];
  private readonly from: Provenance;

  constructor(options: Options, from: Provenance) {
    this.options = options;
    this.from = from;
  }

  selects(name: string): boolean {
    const { cases } = this.options;
    return cases.length === 0 || cases.includes(name);
  }

  wants(rival: Rival): boolean {
    return this.options.peers.includes(rival.family);
  }

  /** A fresh process of ours, or nothing where it has no such command. */
  async attune(command: string): Promise<Peer | undefined> {
    const peer = await startAttune(this.options.threads);
    if (peer.commands.includes(command)) return peer;
    await peer.close();
    return undefined;
  }

  /** A fresh process of a rival, or nothing, with one line that says why. */
  async start(rival: Rival, command: string): Promise<Peer | undefined> {
    try {
      const peer = await rival.start(this.options.threads);
      if (peer.commands.includes(command)) return peer;
      await peer.close();
    } catch (error) {
      note(
        `${error instanceof Unavailable ? error.message : `${rival.label}: ${error}`}; going on without it`,
      );
    }
    return undefined;
  }

  /** Figures that need no peer. */
  add(figure: Figure, values: readonly number[], contestant?: string): void {
    const row = rowOf(figure, values, this.from, contestant);
    this.rows.push(row);
    note(
      `  ${row.bench} ${row.case} ${row.metric}: ${contestant ?? "attune"} ${row.value.toPrecision(4)} ${row.unit}`,
    );
  }

  /** Runs in turns with a rival; the rival alone where we have no contestant. A rival that fails is reported. */
  async versus(figure: Figure, ours: Contestant | undefined, theirs: Contestant): Promise<void> {
    try {
      const { runs } = this.options;
      const [last, first] = (await interleave(ours ? [theirs, ours] : [theirs], runs)) as [
        number[],
        number[]?,
      ];
      if (!first) return this.add(figure, last, theirs.label);
      const row = comparisonOf(figure, first, theirs.label, last, this.from);
      this.rows.push(row);
      note(
        `  ${row.bench} ${row.case} ${row.metric}: attune ${row.value.toPrecision(4)} ${row.unit}, ` +
          `${theirs.label} ${row.peer_value?.toPrecision(4)}, ratio ${row.ratio?.toFixed(2)}`,
      );
    } catch (error) {
      note(`${figure.bench} ${figure.case}, ${theirs.label}: ${error}`);
    }
  }
}
