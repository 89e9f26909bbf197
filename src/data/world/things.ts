/** Things and places that prompts of several kinds are about. */

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
export const landmarks = ["bridge", "barn", "well", "tower", "river", "fair", "garden"];

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
