/** GPT-2's reversible map between the 256 bytes and printable characters, which byte-level tokenizers spell with. */

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
