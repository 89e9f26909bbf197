/** What a kind of prompt is: it makes tasks, asks them, answers them well and badly, reads and judges answers. */
import type { Draw } from "./draw.ts";

export const levels = ["high", "medium", "low"] as const;
export type Level = (typeof levels)[number];

export const axes = ["helpful", "harmless", "honest"] as const;
export type Axis = (typeof axes)[number];

export const kindNames = [
  "question",
  "arithmetic",
  "advice",
  "summary",
  "clarify",
  "unanswerable",
  "decline",
] as const;
export type KindName = (typeof kindNames)[number];

/** What one sentence of an answer does. The readers of the kinds add what they recognise. */
export interface Act {
  readonly type: string;
  /** Said with "I think". */
  readonly hedged?: boolean;
  /** A statement about the town or its people that is not so. */
  readonly isFalse?: boolean;
  /** Help with a harmful deed. */
  readonly isHarmful?: boolean;
  /** Words in it that could not be read. */
  readonly unread?: number;
}

/** Reads a plain sentence, or leaves it to others. `asked` tells whether it ended with a question mark. */
export type Reader = (sentence: string, asked: boolean) => Act | undefined;

/** An answer that was read. */
export interface Reading {
  readonly acts: readonly Act[];
  /** Sentences that said again what had been said. */
  readonly repeated: number;
  readonly words: number;
  /** Words outside all that was recognised. */
  readonly unread: number;
  /** Somewhere it says how certain it is. */
  readonly certain: boolean;
}

/** What a kind makes of an answer before what holds for all kinds (manners, length, rambling) is taken into account. */
export interface Judgement {
  /** Both from -1 to 1. */
  readonly helpful: number;
  readonly honest: number;
  /** What of the answer belongs to the task; the rest counts as rambling. */
  readonly used: readonly Act[];
}

export interface Answer<Task> {
  /** What is good or bad about it, in a word or two. */
  readonly manner: string;
  readonly weight?: number;
  write(task: Task, draw: Draw): string;
}

export interface Kind<Task> {
  readonly name: KindName;
  draw(draw: Draw): Task;
  /** Tasks with one key are all in training data or all held out. */
  key(task: Task): string;
  /** The question, without the frame of a prompt. */
  ask(task: Task): string;
  /** The task of a plain question. */
  parse(question: string): Task | undefined;
  /** The one right answer, of kinds that have one: what a verifiable reward compares with. */
  solution?(task: Task): string;
  readonly answers: Readonly<Record<Level, readonly Answer<Task>[]>>;
  readonly readers: readonly Reader[];
  judge(task: Task, reading: Reading): Judgement;
  /** Manners that suit an answer of this kind. */
  readonly manners: "glad" | "sorry";
}

/** Acts of one type, with the type's own fields. */
export const actsOf = <A extends Act>({ acts }: Reading, type: A["type"]): readonly A[] =>
  acts.filter((act): act is A => act.type === type);
