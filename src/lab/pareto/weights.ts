/** Ways to weigh objectives, evenly over the simplex. */

/** Weights that sum to 1, so many steps apart: of two objectives with 4 steps 1/0, .75/.25, ...; those of 0 are left out. */
export function weightGrid(objectives: readonly string[], steps: number): Record<string, number>[] {
  const [name, ...rest] = objectives;
  if (name === undefined) return [];
  const of = (names: readonly string[], left: number): Record<string, number>[] => {
    const [first, ...others] = names as [string, ...string[]];
    const own = (i: number) => (i === 0 ? {} : { [first]: i / steps });
    if (others.length === 0) return [own(left)];
    return Array.from({ length: left + 1 }, (_, i) => left - i).flatMap((i) =>
      of(others, left - i).map((tail) => ({ ...own(i), ...tail })),
    );
  };
  return of([name, ...rest], steps);
}

/** "helpful 0.75, honest 0.25". */
export const weightsLabel = (weights: Readonly<Record<string, number>>): string =>
  Object.entries(weights)
    .map(([name, weight]) => `${name} ${Number(weight.toFixed(2))}`)
    .join(", ");
