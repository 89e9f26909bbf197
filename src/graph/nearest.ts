/** The known name that a mistyped one most likely means, for error messages. */
import leven from "leven";

/** The nearest of `names` by edits, or undefined when none is near: more than a third of the letters differ. */
export function nearest(name: string, names: Iterable<string>): string | undefined {
  let best: { name: string; edits: number } | undefined;
  for (const known of names) {
    const edits = leven(name.toLowerCase(), known.toLowerCase());
    if (edits < (best?.edits ?? Number.POSITIVE_INFINITY)) best = { name: known, edits };
  }
  return best && best.edits <= Math.max(1, Math.ceil(name.length / 3)) ? best.name : undefined;
}

/** `; did you mean "x"?` for the end of a message about an unknown name, or a list of the known ones. */
export function didYouMean(name: string, names: readonly string[]): string {
  const found = nearest(name, names);
  return found ? `; did you mean ${found}?` : `; known are ${names.join(", ")}`;
}
