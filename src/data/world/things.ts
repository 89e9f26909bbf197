/** Things, places and people that prompts of several kinds are about, as slots of forms. */
import type { Draw } from "./draw.ts";
import type { Form, Slots } from "./forms.ts";
import { names, residentOf } from "./town.ts";

/** Each goes with "a". */
export const things = [
  "lamp",
  "clock",
  "drum",
  "basket",
  "bell",
  "chair",
  "map",
  "book",
  "coat",
  "boat",
  "jug",
  "kettle",
];

/** What takes "the" in the phrases of `places`. */
const landmarks = ["bridge", "barn", "well", "tower", "river", "fair", "garden"];

/** Where something may be. */
export const places = [
  "under the bridge",
  "behind the barn",
  "near the well",
  "in the tower",
  "by the river",
  "at the fair",
  "in the garden",
];

/** What each slot of a request may hold. */
const choices: Readonly<Record<string, readonly string[]>> = {
  thing: things,
  place: landmarks,
  name: names,
  animal: ["dog", "goose", "goat", "cat"],
  ware: ["loaves", "nails", "candles", "roses", "jugs", "coats", "ropes", "lamps"],
};

/** Values for the slots of a form. */
export const drawSlots = ({ slots }: Form, draw: Draw): Slots =>
  Object.fromEntries(slots.map((slot) => [slot, draw.pick(choices[slot] as readonly string[])]));

/** Slots that were read, names as they are written; undefined when one holds what it may not. */
export function acceptedSlots(slots: Slots): Slots | undefined {
  const written = Object.entries(slots).map(([slot, value]) => {
    const text = slot === "name" ? residentOf(value)?.name : value;
    return [slot, choices[slot]?.includes(text ?? "") ? text : undefined] as const;
  });
  return written.every(([, text]) => text !== undefined) ? (Object.fromEntries(written) as Slots) : undefined;
}
