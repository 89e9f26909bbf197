/** Reads any text as an answer: sentence by sentence, what it says in the world's language, and what it does not. */
import { plain } from "./forms.ts";
import type { Act, Reader, Reading } from "./kind.ts";
import { kinds } from "./kinds/index.ts";
import { readPhrase } from "./phrases.ts";

const readers: readonly Reader[] = [readPhrase, ...kinds.flatMap((kind) => kind.readers)];

/** Longer texts are cut here: by then all is lost that length can lose. */
const longest = 1000;
/** No sentence of the world is longer. */
const longestSentence = 200;

const wordsIn = (text: string): number => text.split(/\s+/).filter((word) => word !== "").length;

function readSentence(sentence: string, asked: boolean): Act | undefined {
  if (sentence.length > longestSentence) return undefined;
  const text = sentence.replace(/^i think (that )?/, "");
  for (const read of readers) {
    const act = read(text, asked);
    if (act) return text === sentence ? act : { ...act, hedged: true };
  }
  return undefined;
}

export function readAnswer(text: string): Reading {
  const acts: Act[] = [];
  const seen = new Set<string>();
  let repeated = 0;
  let words = 0;
  let unread = 0;
  for (const piece of text.slice(0, longest).split(/(?<=[.!?])\s+|\n+/)) {
    const count = wordsIn(piece);
    if (count === 0) continue;
    words += count;
    const sentence = plain(piece);
    const act = readSentence(sentence, /\?\W*$/.test(piece));
    if (!act) unread += count;
    else if (seen.has(sentence)) repeated++;
    else {
      acts.push(act);
      unread += Math.min(count, act.unread ?? 0);
    }
    seen.add(sentence);
  }
  return { acts, repeated, words, unread, certain: acts.some(({ type }) => type === "certain") };
}
