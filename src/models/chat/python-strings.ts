/** Strings as Python handles and prints them, for chat templates that were written against Python. */

/** Python's string methods where the library's differ: it takes no characters to strip, and leaves capitals alone. */
export const stringMethods: Record<string, (text: string, characters?: string) => string> = {
  strip: (text, characters) => stripEnd(stripStart(text, characters), characters),
  lstrip: stripStart,
  rstrip: stripEnd,
  capitalize: (text) => text.charAt(0).toUpperCase() + text.slice(1).toLowerCase(),
  title: (text) =>
    text.toLowerCase().replace(/\p{L}+/gu, (word) => word.charAt(0).toUpperCase() + word.slice(1)),
};
export const stringFilters: Record<string, (text: string) => string> = {
  trim: (text) => stripEnd(stripStart(text)),
  capitalize: (text) => stringMethods.capitalize?.(text) ?? text,
};

/** What Python's `str.strip` takes for white space. */
const pythonSpace =
  "\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000";

function stripStart(text: string, characters: string | null = pythonSpace): string {
  const strip = characters ?? pythonSpace;
  let start = 0;
  while (start < text.length && strip.includes(text[start] as string)) start++;
  return text.slice(start);
}

function stripEnd(text: string, characters: string | null = pythonSpace): string {
  const strip = characters ?? pythonSpace;
  let end = text.length;
  while (end > 0 && strip.includes(text[end - 1] as string)) end--;
  return text.slice(0, end);
}

/** Characters that Python's `repr` escapes: controls, formats, separators but the space. */
const unprintable = /[^\P{C}]|[^\P{Z} ]/u;

/** Python's `repr` of a string. */
export function quoted(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const named: Record<string, string> = {
    "\\": "\\\\",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    [quote]: `\\${quote}`,
  };
  const escaped = Array.from(text, (character) => {
    const code = (character.codePointAt(0) as number).toString(16);
    const [letter, width] = code.length <= 2 ? ["x", 2] : code.length <= 4 ? ["u", 4] : ["U", 8];
    return (
      named[character] ??
      (unprintable.test(character) ? `\\${letter}${code.padStart(width, "0")}` : character)
    );
  });
  return `${quote}${escaped.join("")}${quote}`;
}

/** Python's `strftime` for the directives that templates use, in English and local time. */
export function strftime(date: Date, format: string): string {
  const name = (options: Intl.DateTimeFormatOptions) =>
    new Intl.DateTimeFormat("en-US", options).format(date);
  const padded = (n: number, width = 2) => String(n).padStart(width, "0");
  const dayOfYear = () => {
    const [year, month, day] = [date.getFullYear(), date.getMonth(), date.getDate()];
    return Math.round((Date.UTC(year, month, day) - Date.UTC(year, 0, 0)) / 86_400_000);
  };
  const directives: Record<string, () => string> = {
    Y: () => String(date.getFullYear()),
    y: () => padded(date.getFullYear() % 100),
    m: () => padded(date.getMonth() + 1),
    d: () => padded(date.getDate()),
    H: () => padded(date.getHours()),
    I: () => padded(date.getHours() % 12 || 12),
    M: () => padded(date.getMinutes()),
    S: () => padded(date.getSeconds()),
    p: () => (date.getHours() < 12 ? "AM" : "PM"),
    A: () => name({ weekday: "long" }),
    a: () => name({ weekday: "short" }),
    B: () => name({ month: "long" }),
    b: () => name({ month: "short" }),
    j: () => padded(dayOfYear(), 3),
    "%": () => "%",
  };
  return format.replace(/%-?([A-Za-z%])/g, (all, letter: string) => {
    const text = directives[letter]?.() ?? all;
    return all.startsWith("%-") ? text.replace(/^0+(?=\d)/, "") : text;
  });
}
