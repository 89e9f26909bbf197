/** Options that were given and would do nothing, because another one is not as they need it: told, and not ignored. */
import { TrainError } from "./errors.ts";
import { snake } from "./prompted-options.ts";

export interface Condition<O> {
  readonly names: readonly (keyof O & string)[];
  /** Whether they do something beside these options. */
  readonly holds: (options: Partial<O>) => boolean;
  /** In words, under the names of recipes. */
  readonly needs: string;
}

/** @throws TrainError with the first option that would do nothing, and what it needs */
export function refuseIdle<O>(options: Partial<O>, conditions: readonly Condition<O>[]): void {
  for (const { names, holds, needs } of conditions)
    for (const name of names)
      if (options[name] !== undefined && !holds(options))
        throw new TrainError(`${snake(name)}: ${needs} is required for it; leave one of them out`);
}
