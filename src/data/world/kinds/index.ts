/** The kinds of prompts. A kind is a row. */
import { type Kind, type KindName, kindNames } from "../kind.ts";
import { advice } from "./advice.ts";
import { arithmetic } from "./arithmetic.ts";
import { clarify } from "./clarify.ts";
import { decline } from "./decline.ts";
import { question } from "./question.ts";
import { summary } from "./summary.ts";
import { unanswerable } from "./unanswerable.ts";

/** A kind whose tasks only it can look into. */
export type AnyKind = Kind<unknown>;

const table = { question, arithmetic, advice, summary, clarify, unanswerable, decline } satisfies Record<
  KindName,
  unknown
>;

/** In the order of `kindNames`. */
export const kinds: readonly AnyKind[] = kindNames.map((name) => table[name] as unknown as AnyKind);
