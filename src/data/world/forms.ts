/** Sentences with slots, to be written and to be read: "{name} keeps {value}." */

export type Slots = Readonly<Record<string, string>>;

export interface Form {
  /** Their names. */
  readonly slots: readonly string[];
  /** The sentence with its slots filled in; what is not given stays as it is. */
  fill(slots: Slots): string;
  /** The slots of a sentence that was made `plain`, in lower case; undefined when it has another form. */
  match(sentence: string): Slots | undefined;
}

/** A sentence as it is compared: lower case, single spaces, no quotation marks, no punctuation at the end. */
export const plain = (text: string): string =>
  text
    .toLowerCase()
    .replace(/["“”]/g, "")
    .replace(/\s+/g, " ")
    .replace(/[\s.,;:!?]+$/, "")
    .trim();

const escaped = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");

export function form(text: string): Form {
  const pieces = text.split(/\{(\w+)\}/); // text and slot names in turn
  const names = pieces.filter((_, i) => i % 2 === 1);
  const source = pieces.map((piece, i) => {
    if (i % 2 === 1) return "(.+?)";
    const isLast = i === pieces.length - 1;
    return escaped(isLast ? piece.replace(/[.,;:!?]+$/, "").toLowerCase() : piece.toLowerCase());
  });
  const pattern = new RegExp(`^${source.join("")}$`);
  return {
    slots: names,
    fill: (slots) => text.replace(/\{(\w+)\}/g, (slot, name: string) => slots[name] ?? slot),
    match(sentence) {
      const found = pattern.exec(sentence);
      if (!found) return undefined;
      return Object.fromEntries(names.map((name, i) => [name, found[i + 1] as string]));
    },
  };
}

export const forms = (...texts: readonly string[]): readonly Form[] => texts.map(form);

/** The first form that a sentence has, and what `accept` makes of its slots. */
export function firstMatch<T>(
  list: readonly Form[],
  sentence: string,
  accept: (slots: Slots, index: number) => T | undefined,
): T | undefined {
  for (const [index, each] of list.entries()) {
    const slots = each.match(sentence);
    const accepted = slots && accept(slots, index);
    if (accepted !== undefined) return accepted;
  }
  return undefined;
}

export const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

/** Values by their text in lower case. */
export const byText = <T>(list: readonly T[], textOf: (item: T) => string): ReadonlyMap<string, T> =>
  new Map(list.map((item) => [textOf(item).toLowerCase(), item]));

/** A number as the world writes it, digits apart: 47 is "4 7". */
export const digits = (n: number): string => [...String(n)].join(" ");
