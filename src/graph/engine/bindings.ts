/** The sizes that named dimensions have in one call: each name has one. */
import type { Shape } from "../dims.ts";
import { ShapeError } from "../errors.ts";

/** Size by name, and the input that said so. */
export type Bindings = Map<string, { readonly size: number; readonly input: string }>;

/** Notes the sizes that an input gives to names; throws when an earlier input gave another one. */
export function bind(bindings: Bindings, input: string, dims: Shape, shape: readonly number[]): void {
  for (const [axis, dim] of dims.entries()) {
    if (typeof dim !== "string") continue;
    const size = shape[axis] as number;
    const earlier = bindings.get(dim);
    if (!earlier) bindings.set(dim, { size, input });
    else if (earlier.size !== size)
      throw new ShapeError(`${input}: ${dim} is ${size} here and ${earlier.size} in ${earlier.input}`);
  }
}
