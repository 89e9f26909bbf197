/**
 * A little town that exists only here, and stories about it from a seeded grammar: text to train on that needs no
 * download and is nobody's.
 *
 * Facts hold in every story (who keeps which shop, whose pet is what), so a model that was trained on them can be seen
 * to have learnt them.
 */
import { uniform } from "../graph/random.ts";

export const townName = "Ebberly";

interface Resident {
  readonly name: string;
  readonly they: "she" | "he";
  readonly trade: string;
  readonly place: string;
  readonly makes: readonly string[];
  readonly pet: string;
  readonly petName: string;
}

export const residents: readonly Resident[] = [
  {
    name: "Orla",
    they: "she",
    trade: "baker",
    place: "the bakery on Mill Lane",
    makes: ["rye loaves", "plum buns", "seed cakes"],
    pet: "goose",
    petName: "Button",
  },
  {
    name: "Tobin",
    they: "he",
    trade: "boatbuilder",
    place: "the boatyard by the quay",
    makes: ["rowing boats", "oars", "rudders"],
    pet: "dog",
    petName: "Anchor",
  },
  {
    name: "Wilma",
    they: "she",
    trade: "lighthouse keeper",
    place: "the lighthouse on Gull Rock",
    makes: ["signal lamps", "weather charts", "flags"],
    pet: "cat",
    petName: "Ember",
  },
  {
    name: "Casper",
    they: "he",
    trade: "clockmaker",
    place: "the clock shop on the square",
    makes: ["pocket watches", "wall clocks", "music boxes"],
    pet: "owl",
    petName: "Minute",
  },
  {
    name: "Isolde",
    they: "she",
    trade: "beekeeper",
    place: "the cottage behind the orchard",
    makes: ["jars of honey", "candles", "wax seals"],
    pet: "hedgehog",
    petName: "Thistle",
  },
  {
    name: "Bram",
    they: "he",
    trade: "ferryman",
    place: "the ferry house at the river bend",
    makes: ["strong ropes", "knotted nets", "cork floats"],
    pet: "otter",
    petName: "Ripple",
  },
  {
    name: "Pella",
    they: "she",
    trade: "weaver",
    place: "the weaving room above the market",
    makes: ["blue shawls", "wool blankets", "striped scarves"],
    pet: "lamb",
    petName: "Clover",
  },
  {
    name: "Hugo",
    they: "he",
    trade: "gardener",
    place: "the glasshouse near the old wall",
    makes: ["tomato plants", "rose bushes", "baskets of herbs"],
    pet: "tortoise",
    petName: "Pebble",
  },
];

const weathers = [
  "It rained over the roofs",
  "The sun stood high",
  "Fog lay on the harbour",
  "A cold wind blew from the sea",
  "Snow fell on the square",
  "The morning was bright and still",
];
const times = [
  "On market day",
  "Early on Monday",
  "One evening",
  "At noon",
  "Before the spring fair",
  "On the longest day of the year",
];
const troubles = [
  { lost: "the key to the door", found: "under a flower pot" },
  { lost: "a silver thimble", found: "in a coat pocket" },
  { lost: "the ladder", found: "behind the town hall" },
  { lost: "a letter from the mayor", found: "between two books" },
  { lost: "the best lantern", found: "at the end of the pier" },
  { lost: "a sack of flour", found: "on the wrong cart" },
];
const moods = ["glad", "tired but happy", "proud", "surprised", "thankful"];
const sayings = [
  "Many hands make a short day",
  "What is lost wants to be found",
  "A good neighbour is better than a fast boat",
  "Slow work stands longest",
];

/** Draws for one story: the n-th draw of story `index` is a function of seed, index and n. */
function drawer(seed: number, index: number) {
  let n = 0;
  return <T>(list: readonly T[]): T => list[Math.floor(uniform(seed, index, n++) * list.length)] as T;
}

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);
const their = ({ they }: Resident): string => (they === "she" ? "her" : "his");
const them = ({ they }: Resident): string => (they === "she" ? "her" : "him");

type Draw = ReturnType<typeof drawer>;

/** The kinds of stories. A kind is a row. */
const kinds: readonly ((a: Resident, b: Resident, draw: Draw) => string)[] = [
  (a, b, draw) => {
    const { lost, found } = draw(troubles);
    return (
      `${draw(times)}, ${a.name} the ${a.trade} could not find ${lost}. ${capital(a.they)} looked all over ${a.place}, but it was not there. ` +
      `${capital(a.they)} asked ${b.name} the ${b.trade} to help ${them(a)}. ${b.name} came with ${b.petName} the ${b.pet}, who sniffed about and found it ${found}. ` +
      `"${draw(sayings)}," said ${b.name}, and ${a.name} was ${draw(moods)}.`
    );
  },
  (a, b, draw) => {
    const wares = draw(a.makes);
    return (
      `${draw(weathers)}. ${a.name} the ${a.trade} stood in ${a.place} and made ${wares}. ` +
      `${b.name} came in and asked for ${wares}. "What will you give me for them?" asked ${a.name}. "I will give you ${draw(b.makes)}," said ${b.name} the ${b.trade}. ` +
      `They shook hands, and both were ${draw(moods)}.`
    );
  },
  (a, b, draw) =>
    `${a.petName} is ${/^[aeio]/.test(a.pet) ? "an" : "a"} ${a.pet} and lives with ${a.name} in ${a.place}. ${draw(times)}, ${a.petName} ran away to ${b.place}. ` +
    `${b.name} the ${b.trade} was at work on ${draw(b.makes)} and saw the ${a.pet} at the door. ` +
    `"You belong to ${a.name} the ${a.trade}," said ${b.name}, and brought ${a.petName} home. ${a.name} was ${draw(moods)} and gave ${them(b)} ${draw(a.makes)}.`,
  (a, b, draw) =>
    `In the town of ${townName} everybody knows ${a.name}, the ${a.trade}, and ${their(a)} ${a.pet} ${a.petName}. ${draw(weathers)} when ${b.name} the ${b.trade} knocked at ${a.place}. ` +
    `"I need ${draw(a.makes)} for the fair," said ${b.name}. "Come back tomorrow," said ${a.name}, "${draw(sayings).toLowerCase()}." The next day ${b.name} came back and was ${draw(moods)}.`,
];

/** Stories number `from`, `from + 1`, ...; each is some 300 characters. */
export function townStories(count: number, seed = 0, from = 0): string[] {
  return Array.from({ length: count }, (_, i) => {
    const draw = drawer(seed, from + i);
    const a = draw(residents);
    const b = draw(residents.filter((other) => other !== a));
    return draw(kinds)(a, b, draw);
  });
}
