/**
 * Which characters of a text each token covers, for libraries that do not tell.
 *
 * Every token has a spelling in bytes (byte-level symbols, `<0x..>` bytes, or text with `▁` for spaces). Laid end to
 * end the spellings must give the text's UTF-8 bytes, except for what tokenizers add or leave out: a prefix space,
 * spaces eaten by `lstrip` / `rstrip` tokens, characters without a token. Anything else is an error, never a guess.
 */
import { symbolToByte, utf8Encoder } from "./byte-level.ts";
import { TokenizerError } from "./errors.ts";
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
  const alwaysPrefixed = JSON.stringify(tokenizer.definition.normalizer ?? "").includes('"Prepend"');
  const spans: Span[] = [];
  let at = 0;
  let sectionStart = true;

  const skipSpaces = () => {
    while (at < bytes.length && /\s/.test(text[offsets[at] as number] as string)) at++;
  };
  /** Steps over one character if the tokenizer, alone with it, gives exactly these ids. */
  const skipCharacter = (expected: readonly number[]): boolean => {
    if (at >= bytes.length) return false;
    const character = String.fromCodePoint(text.codePointAt(offsets[at] as number) as number);
    const alone = tokenizer.encode(`a${character}`, { addSpecialTokens: false });
    const plain = tokenizer.encode("a", { addSpecialTokens: false });
    if (alone.join() !== [...plain, ...expected].join()) return false;
    at += utf8Encoder.encode(character).length;
    return true;
  };

  ids.forEach((id, index) => {
    const token = added.get(id);
    let spelling = spell(id);
    if (token?.lstrip && !startsAt(bytes, at, spelling)) skipSpaces();
    if (
      sectionStart &&
      !token &&
      spelling[0] === space &&
      (alwaysPrefixed || !startsAt(bytes, at, spelling))
    ) {
      spelling = spelling.subarray(1);
    }
    while (!startsAt(bytes, at, spelling) && skipCharacter([]));
    const start = at;
    if (startsAt(bytes, at, spelling)) at += spelling.length;
    else if (id === tokenizer.unkId && skipCharacter([id])) while (skipCharacter([id]));
    else {
      throw new TokenizerError(
        `tokenSpans: token ${index} (${JSON.stringify(tokenizer.idToToken(id))}) does not spell the text at ` +
          `${JSON.stringify(text.slice(offsets[at], (offsets[at] as number) + 20))}. The tokenizer rewrites this text; ` +
          "take a tokenizer whose normalizer keeps the characters.",
      );
    }
    if (token?.rstrip) skipSpaces();
    spans.push([
      offsets[start] as number,
      at === start ? (offsets[start] as number) : ceilOffset(text, offsets, at),
    ]);
    sectionStart = token !== undefined;
  });
  while (at < bytes.length && skipCharacter([]));
  if (at < bytes.length) {
    throw new TokenizerError(
      `tokenSpans: ${ids.length} tokens end before ${JSON.stringify(text.slice(offsets[at]).slice(0, 20))}. ` +
        "Pass the ids of the whole text, encoded without special tokens.",
    );
  }
  return spans;
}

/** The end of the character that byte `at - 1` belongs to. */
function ceilOffset(text: string, offsets: Int32Array, at: number): number {
  const last = offsets[at - 1] as number;
  let end = at;
  while (end < offsets.length - 1 && offsets[end] === last) end++;
  return end < offsets.length ? (offsets[end] as number) : text.length;
}

function startsAt(bytes: Uint8Array, at: number, part: Uint8Array): boolean {
  if (at + part.length > bytes.length) return false;
  for (let i = 0; i < part.length; i++) if (bytes[at + i] !== part[i]) return false;
  return true;
}

/** The bytes of the (Unicode-normalised) text, and for each byte, and the end, its place in the original text. */
function normalisedBytes(tokenizer: Tokenizer, text: string): { bytes: Uint8Array; offsets: Int32Array } {
  const form = /"(NFK?[CD])"/.exec(JSON.stringify(tokenizer.definition.normalizer ?? ""))?.[1];
  const whole = form ? text.normalize(form) : text;
  const unit = whole === text ? /[\s\S]/gu : /\P{M}\p{M}*|\p{M}+/gsu;
  const bytes: number[] = [];
  const offsets: number[] = [];
  let joined = "";
  for (const { 0: piece, index } of text.matchAll(unit)) {
    const normal = whole === text ? piece : piece.normalize(form);
    joined += normal;
    for (const byte of utf8Encoder.encode(normal)) {
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
  const decoder = JSON.stringify(tokenizer.definition.decoder ?? "");
  const byteLevel = decoder.includes('"ByteLevel"');
  const byteFallback = decoder.includes('"ByteFallback"');
  const spaces = decoder.includes("▁") || decoder.includes('"Metaspace"');
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
