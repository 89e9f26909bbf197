/** A number of things in words: `1 row`, `2 rows`. */
export const counted = (n: number, thing: string): string => `${n} ${thing}${n === 1 ? "" : "s"}`;
