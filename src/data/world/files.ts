/** The files of the world, by name: what each stage of a pipeline reads, and what none may train on. */
import type { World } from "./world.ts";

export interface WorldCounts {
  /** Documents of mixed quality. */
  readonly pretrain?: number;
  /** Demonstrations, of mixed quality. */
  readonly sft?: number;
  readonly preferences?: number;
  readonly rankings?: number;
  readonly ratings?: number;
  readonly prompts?: number;
  /** Sums with worked answers and their results. */
  readonly arithmetic?: number;
  /** Sums with their results. */
  readonly sums?: number;
  /** Of each held-out file. */
  readonly heldOut?: number;
  /** Share of comparisons whose label is turned round. */
  readonly noise?: number;
  /** Keep pairs that an annotator cannot tell apart. */
  readonly ties?: boolean;
  /** A column of how far apart the annotator found the two. */
  readonly margins?: boolean;
  /** Columns of what the gold scorer gives both by axis. */
  readonly axes?: boolean;
}

export interface WorldFile {
  readonly name: string;
  /** The rows; none when no count was given. */
  make(): readonly object[];
}

/** Every file; one is a function of the seed, and a longer one begins with a shorter one. */
export function worldFiles(world: World, counts: WorldCounts): WorldFile[] {
  const { noise = 0, ties = false, margins = false, axes = false, heldOut = 0 } = counts;
  const split = "held-out";
  const files: Record<string, () => readonly object[]> = {
    pretrain: () => world.corpus(counts.pretrain ?? 0),
    sft: () => world.demonstrations(counts.sft ?? 0),
    preferences: () => world.preferences(counts.preferences ?? 0, { noise, ties, margins, axes }),
    rankings: () => world.rankings(counts.rankings ?? 0),
    ratings: () => world.ratings(counts.ratings ?? 0),
    prompts: () => world.prompts(counts.prompts ?? 0),
    arithmetic: () => world.arithmetic(counts.arithmetic ?? 0),
    sums: () => world.sums(counts.sums ?? 0),
    "held-out": () => world.prompts(heldOut, { split }),
    "sft-held-out": () => world.demonstrations(heldOut, { split }),
    "preferences-held-out": () => world.preferences(heldOut, { split, axes }),
    "arithmetic-held-out": () => world.arithmetic(counts.arithmetic || counts.sums ? heldOut : 0, { split }),
  };
  return Object.entries(files).map(([name, make]) => ({ name, make }));
}
