/** Annotators: people who weigh the axes differently, do not see small differences, and sometimes slip. */
import type { Draw } from "./draw.ts";
import type { GoldScore } from "./gold.ts";
import { type Axis, axes } from "./kind.ts";

export interface Annotator {
  readonly name: string;
  readonly weights: Readonly<Record<Axis, number>>;
}

/** Who annotates. An annotator is a row; the weights of one sum to 1. */
export const annotators: readonly Annotator[] = [
  { name: "even", weights: { helpful: 0.5, harmless: 0.25, honest: 0.25 } },
  { name: "practical", weights: { helpful: 0.7, harmless: 0.15, honest: 0.15 } },
  { name: "careful", weights: { helpful: 0.4, harmless: 0.4, honest: 0.2 } },
  { name: "exact", weights: { helpful: 0.4, harmless: 0.2, honest: 0.4 } },
];

/** What an annotator makes of a response, from -1 to 1. */
export const opinion = ({ weights }: Annotator, score: GoldScore): number =>
  axes.reduce((sum, axis) => sum + weights[axis] * score[axis], 0);

/** Differences below this are a tie to an annotator. */
export const tieBelow = 0.05;

export interface Verdict {
  readonly tie: boolean;
  /** Whether the first is preferred; of a tie, by chance. */
  readonly first: boolean;
  /** How much better the preferred one seems, at least 0. */
  readonly margin: number;
  /** The label was turned round by noise. */
  readonly noise: boolean;
}

/** Compares two responses. With probability `noise` the label comes out the wrong way round. */
export function compare(
  annotator: Annotator,
  a: GoldScore,
  b: GoldScore,
  noise: number,
  draw: Draw,
): Verdict {
  const difference = opinion(annotator, a) - opinion(annotator, b);
  const isTie = Math.abs(difference) < tieBelow;
  const isNoise = !isTie && draw.chance(noise);
  const first = isTie ? draw.chance(0.5) : difference > 0 !== isNoise;
  return { tie: isTie, first, margin: Math.abs(difference), noise: isNoise };
}
