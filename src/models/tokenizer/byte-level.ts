/** GPT-2's words, and its reversible map between the 256 bytes and printable characters, which spells them. */

/** Unicode `White_Space`, which is what `tokenizers` means by `\s` (JavaScript's adds U+FEFF and lacks U+0085). */
const S = "\\p{White_Space}";

/** GPT-2's pre-tokenisation: contractions, letters, numbers, the rest, each with one space before; white space. */
export const gpt2Words = new RegExp(
  `'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^${S}\\p{L}\\p{N}]+|${S}+(?!\\P{White_Space})|${S}+`,
  "gu",
);

export const utf8Encoder = new TextEncoder();

/** `byteToSymbol[byte]`: printable Latin-1 stands for itself, the other 68 bytes for U+0100 and following. */
export const byteToSymbol: readonly string[] = makeSymbols();

/** The inverse of `byteToSymbol`. */
export const symbolToByte: ReadonlyMap<string, number> = new Map(byteToSymbol.map((s, byte) => [s, byte]));

function makeSymbols(): string[] {
  const printable = (byte: number) =>
    (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || (byte >= 174 && byte <= 255);
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(printable(byte) ? byte : next++));
}
