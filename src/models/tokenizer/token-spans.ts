/**
 * Which characters of a text each token covers, for libraries that do not tell.
 *
 * Every token has a spelling in bytes (byte-level symbols, `<0x..>` bytes, or text with `▁` for spaces). Laid end to
 * end the spellings must give the text's UTF-8 bytes, except for what tokenizers add or leave out: a prefix space,
 * spaces eaten by `lstrip` / `rstrip` tokens, characters without a token. Anything else is an error, never a guess.
 */

import { TokenizerError } from "../errors.ts";
import { symbolToByte, utf8Encoder } from "./byte-level.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** Half-open, in UTF-16 units of the text. Tokens that share a character overlap; a bare prefix space is empty. */
export type Span = readonly [start: number, end: number];

const space = 0x20;

/**
 * The span of each id, where `ids` is the encoding of `text` without the post-processor's special tokens.
 *
 * @throws TokenizerError when the ids do not spell the text.
 */
export function tokenSpans(tokenizer: Tokenizer, text: string, ids: readonly number[]): Span[] {
  const { bytes, offsets } = normalisedBytes(tokenizer, text);
  const added = new Map(tokenizer.addedTokens.map((token) => [token.id, token]));
  const spell = speller(tokenizer);
  const alwaysPrefixed = stepsOf(tokenizer, "normalizer").includes('"Prepend"');
  const characterAt = (at: number) => String.fromCodePoint(text.codePointAt(offsets[at] as number) as number);
  const encodesTo = characterTest(tokenizer);
  const drops = stepsOf(tokenizer, "pre_tokenizer").includes('"Replace"') ? encodesTo([]) : () => false;
  const isUnknown = encodesTo([tokenizer.unkId ?? -1]);

  /** The place after the characters from `at` on that pass the test. */
  const after = (
    at: number,
    test: (character: string) => boolean,
    most = Number.POSITIVE_INFINITY,
  ): number => {
    let end = at;
    for (let n = 0; n < most && end < bytes.length && test(characterAt(end)); n++)
      end = nextCharacter(offsets, end);
    return end;
  };
  /** The place after `spelling`, with dropped characters between its own, or -1. */
  const match = (from: number, spelling: Uint8Array): number => {
    let at = from;
    for (const byte of spelling) {
      if (offsets[at] !== offsets[at - 1]) at = after(at, drops);
      if (bytes[at] !== byte) return -1;
      at++;
    }
    return at;
  };

  let at = 0;
  let sectionStart = true;
  const spans = ids.map((id, index): Span => {
    const token = added.get(id);
    const spelling = spell(id);
    const prefixed =
      sectionStart && !token && spelling[0] === space && (alwaysPrefixed || bytes[at] !== space);
    const start = after(at, token?.lstrip ? isSpace : drops);
    let end = match(start, prefixed ? spelling.subarray(1) : spelling);
    if (end < 0 && id === tokenizer.unkId) end = after(start, isUnknown);
    if (end < 0 || (end === start && id === tokenizer.unkId)) {
      throw new TokenizerError(
        `tokenSpans: token ${index} (${JSON.stringify(tokenizer.idToToken(id))}) does not spell the text at ` +
          `${JSON.stringify(text.slice(offsets[start], (offsets[start] as number) + 20))}. The tokenizer rewrites ` +
          "this text; take a tokenizer whose normalizer keeps the characters.",
      );
    }
    at = token?.rstrip ? after(end, isSpace) : end;
    sectionStart = token !== undefined;
    const first = offsets[start] as number;
    return [first, end === start ? first : (offsets[nextCharacter(offsets, end - 1)] as number)];
  });
  at = after(at, drops);
  if (at < bytes.length) {
    throw new TokenizerError(
      `tokenSpans: ${ids.length} tokens end before ${JSON.stringify(text.slice(offsets[at]).slice(0, 20))}. ` +
        "Pass the ids of the whole text, encoded without special tokens.",
    );
  }
  return spans;
}

const isSpace = (character: string) => /\s/.test(character);

/** The first byte of the character after the one that byte `at` belongs to. */
function nextCharacter(offsets: Int32Array, at: number): number {
  let end = at + 1;
  while (end < offsets.length - 1 && offsets[end] === offsets[at]) end++;
  return end;
}

/** Tells of a character, once for each, whether a text with it has exactly these ids more than one without it. */
function characterTest(tokenizer: Tokenizer) {
  const encode = (text: string) => tokenizer.encode(text, { addSpecialTokens: false });
  const plain = encode("a");
  return (expected: readonly number[]) => {
    const known = new Map<string, boolean>();
    return (character: string): boolean => {
      const answer =
        known.get(character) ?? encode(`a${character}`).join() === [...plain, ...expected].join();
      known.set(character, answer);
      return answer;
    };
  };
}

/** A part of the tokenizer's pipeline as text, to look for steps in. */
function stepsOf(tokenizer: Tokenizer, part: "normalizer" | "pre_tokenizer" | "decoder"): string {
  return JSON.stringify(tokenizer.definition[part] ?? "");
}

/** Whether the tokenizer writes spaces as `▁`, and so does not tell the two apart. */
function spellsSpaces(tokenizer: Tokenizer): boolean {
  const decoder = stepsOf(tokenizer, "decoder");
  return decoder.includes("▁") || decoder.includes('"Metaspace"');
}

/** The bytes of the (Unicode-normalised) text, and for each byte, and the end, its place in the original text. */
function normalisedBytes(tokenizer: Tokenizer, text: string): { bytes: Uint8Array; offsets: Int32Array } {
  const form = /"(NFK?[CD])"/.exec(stepsOf(tokenizer, "normalizer"))?.[1];
  const spaces = spellsSpaces(tokenizer);
  const whole = form ? text.normalize(form) : text;
  const unit = whole === text ? /[\s\S]/gu : /\P{M}\p{M}*|\p{M}+/gsu;
  const bytes: number[] = [];
  const offsets: number[] = [];
  let joined = "";
  for (const { 0: piece, index } of text.matchAll(unit)) {
    const normal = whole === text ? piece : piece.normalize(form);
    joined += normal;
    for (const byte of utf8Encoder.encode(spaces ? normal.replaceAll("▁", " ") : normal)) {
      bytes.push(byte);
      offsets.push(index);
    }
  }
  if (joined !== whole) {
    throw new TokenizerError(
      `tokenSpans: the tokenizer's ${form} composes characters of this text across base letters. ` +
        `Normalise the text first: text.normalize("${form}").`,
    );
  }
  offsets.push(text.length);
  return { bytes: Uint8Array.from(bytes), offsets: Int32Array.from(offsets) };
}

const spellers = new WeakMap<Tokenizer, (id: number) => Uint8Array>();

/** The bytes that an id stands for, remembered per tokenizer. */
function speller(tokenizer: Tokenizer): (id: number) => Uint8Array {
  const known = spellers.get(tokenizer);
  if (known) return known;
  const decoder = stepsOf(tokenizer, "decoder");
  const byteLevel = decoder.includes('"ByteLevel"');
  const byteFallback = decoder.includes('"ByteFallback"');
  const spaces = spellsSpaces(tokenizer);
  const added = new Set(tokenizer.addedTokens.map((token) => token.id));
  const cache = new Map<number, Uint8Array>();
  const spell = (id: number): Uint8Array => {
    const token = tokenizer.idToToken(id) ?? "";
    if (added.has(id)) return utf8Encoder.encode(token);
    if (byteLevel) return Uint8Array.from(Array.from(token, (symbol) => symbolToByte.get(symbol) ?? 0));
    const byte = byteFallback ? /^<0x([0-9A-F]{2})>$/.exec(token)?.[1] : undefined;
    if (byte !== undefined) return Uint8Array.of(Number.parseInt(byte, 16));
    return utf8Encoder.encode(spaces ? token.replaceAll("▁", " ") : token);
  };
  const remembered = (id: number) => {
    const bytes = cache.get(id) ?? spell(id);
    cache.set(id, bytes);
    return bytes;
  };
  spellers.set(tokenizer, remembered);
  return remembered;
}
