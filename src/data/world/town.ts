/**
 * The knowledge of the world: a little town that exists only here. Who lives where, does what, keeps which animal.
 *
 * Four residents live on each street, two and two next door to each other. Trades and wares are unique, pets and
 * foods are shared by two.
 */
import { byText, type Form, firstMatch, forms } from "./forms.ts";

export const townName = "Ebberly";

const streets = ["Mill Lane", "Quay Street", "Gull Road", "Orchard Road", "Market Square", "Tower Hill"];

export const attributeNames = ["trade", "ware", "street", "pet", "food", "neighbour"] as const;
export type AttributeName = (typeof attributeNames)[number];

export interface Resident extends Readonly<Record<AttributeName, string>> {
  readonly name: string;
  readonly they: "she" | "he";
}

const rows = [
  ["Orla", "she", "baker", "loaves", "a goose", "plums"],
  ["Bram", "he", "ferryman", "ropes", "an otter", "trout"],
  ["Wilma", "she", "watchman", "lamps", "a cat", "soup"],
  ["Hugo", "he", "gardener", "roses", "a goat", "pears"],
  ["Tobin", "he", "boatman", "oars", "a dog", "noodles"],
  ["Pella", "she", "weaver", "shawls", "a lamb", "pancakes"],
  ["Casper", "he", "clockmaker", "clocks", "an owl", "cheese"],
  ["Isolde", "she", "beekeeper", "candles", "a rabbit", "waffles"],
  ["Nora", "she", "tailor", "coats", "a lamb", "plums"],
  ["Otto", "he", "smith", "nails", "a goat", "soup"],
  ["Greta", "she", "potter", "jugs", "a goose", "cheese"],
  ["Felix", "he", "painter", "pictures", "a rabbit", "noodles"],
  ["Mabel", "she", "teacher", "books", "an owl", "trout"],
  ["Rufus", "he", "cook", "pies", "a cat", "pancakes"],
  ["Tilda", "she", "doctor", "salves", "an otter", "pears"],
  ["Jasper", "he", "fisher", "nets", "a dog", "waffles"],
] as const;

export const residents: readonly Resident[] = rows.map(([name, they, trade, ware, pet, food], i) => ({
  name,
  they,
  trade,
  ware,
  street: streets[i >> 2] as string,
  pet,
  food,
  neighbour: (rows[i ^ 1] as (typeof rows)[number])[0],
}));

export const names: readonly string[] = residents.map(({ name }) => name);

/** People of whom nobody in the town has heard. */
export const strangers = [
  "Zeno",
  "Boris",
  "Ruth",
  "Ivan",
  "Selma",
  "Klaus",
  "Dora",
  "Igor",
  "Vera",
  "Magnus",
];

const residentsByName = byText(residents, ({ name }) => name);
const strangersByName = byText(strangers, (name) => name);

/** The resident of a name, in whatever case. */
export const residentOf = (name: string): Resident | undefined => residentsByName.get(name.toLowerCase());
export const strangerOf = (name: string): string | undefined => strangersByName.get(name.toLowerCase());

export interface Attribute {
  /** About {name}. */
  readonly questions: readonly Form[];
  /** About a {value}, where only one resident has it: who is it? */
  readonly reversed?: readonly Form[];
  /** {name} has {value}. */
  readonly statements: readonly Form[];
  /** The value alone, as an answer. */
  readonly curt: Form;
  readonly values: readonly string[];
}

const valuesOf = (attribute: AttributeName): readonly string[] => [
  ...new Set(residents.map((resident) => resident[attribute])),
];

/** What is known of each resident, how it is asked and how it is said. */
export const attributes: Readonly<Record<AttributeName, Attribute>> = {
  trade: {
    questions: forms(
      "What is the trade of {name}?",
      "What work does {name} do?",
      "What does {name} do for a living?",
      "Tell me the trade of {name}.",
      "Which trade does {name} have?",
    ),
    reversed: forms(
      "Who is the {value} of the town?",
      "Who works as the {value}?",
      "Tell me who the {value} is.",
      "I need the {value}. Who is it?",
    ),
    statements: forms("{name} is the {value}.", "{name} works as the {value}."),
    curt: forms("The {value}.")[0] as Form,
    values: valuesOf("trade"),
  },
  ware: {
    questions: forms(
      "What does {name} sell?",
      "What can I buy from {name}?",
      "Which goods does {name} sell?",
      "Tell me what {name} sells.",
      "What is for sale at the shop of {name}?",
    ),
    reversed: forms(
      "Who sells {value}?",
      "Where can I buy {value}?",
      "Tell me who sells {value}.",
      "I need {value}. Who has them?",
    ),
    statements: forms("{name} sells {value}.", "You can buy {value} from {name}."),
    curt: forms("{value}.")[0] as Form,
    values: valuesOf("ware"),
  },
  street: {
    questions: forms(
      "Where does {name} live?",
      "On which street does {name} live?",
      "Where can I find the house of {name}?",
      "Tell me where {name} lives.",
      "Which street is the home of {name} on?",
    ),
    statements: forms("{name} lives on {value}.", "The house of {name} is on {value}."),
    curt: forms("On {value}.")[0] as Form,
    values: streets,
  },
  pet: {
    questions: forms(
      "What pet does {name} keep?",
      "Which animal lives with {name}?",
      "What kind of pet does {name} have?",
      "Tell me which pet {name} has.",
      "What is the pet of {name}?",
    ),
    statements: forms("{name} keeps {value}.", "The pet of {name} is {value}."),
    curt: forms("{value}.")[0] as Form,
    values: valuesOf("pet"),
  },
  food: {
    questions: forms(
      "What does {name} like to eat?",
      "What is the favourite food of {name}?",
      "Which food does {name} like best?",
      "Tell me what {name} likes to eat.",
      "What should I cook for {name}?",
    ),
    statements: forms("{name} likes to eat {value}.", "The favourite food of {name} is {value}."),
    curt: forms("{value}.")[0] as Form,
    values: valuesOf("food"),
  },
  neighbour: {
    questions: forms(
      "Who lives next to {name}?",
      "Who is the neighbour of {name}?",
      "Who lives next door to {name}?",
      "Tell me the neighbour of {name}.",
      "Whose house is beside the house of {name}?",
    ),
    statements: forms("{value} lives next to {name}.", "The neighbour of {name} is {value}."),
    curt: forms("{value}.")[0] as Form,
    values: names,
  },
};

const valuesByText = Object.fromEntries(
  attributeNames.map((name) => [name, byText(attributes[name].values, (value) => value)]),
) as Record<AttributeName, ReadonlyMap<string, string>>;

/** A value of an attribute, in whatever case. */
export const valueOf = (attribute: AttributeName, text: string): string | undefined =>
  valuesByText[attribute].get(text.toLowerCase());

/** Something said about somebody: right, or not. */
export interface Fact {
  readonly attribute: AttributeName;
  readonly name: string;
  readonly value: string;
}

/** A fact in the town's words; the first form is the usual one. */
export function stateFact({ attribute, name, value }: Fact, which = 0): string {
  const { statements } = attributes[attribute];
  return (statements[which % statements.length] as Form).fill({ name, value });
}

export const factOf = (resident: Resident, attribute: AttributeName): Fact => ({
  attribute,
  name: resident.name,
  value: resident[attribute],
});

export const isTrue = ({ attribute, name, value }: Fact): boolean => residentOf(name)?.[attribute] === value;

/** The fact that a plain sentence states, about a resident or a stranger. */
export function readFact(sentence: string): Fact | undefined {
  for (const attribute of attributeNames) {
    const fact = firstMatch(attributes[attribute].statements, sentence, ({ name = "", value = "" }) => {
      const person = residentOf(name)?.name ?? strangerOf(name);
      const known = valueOf(attribute, value);
      return person !== undefined && known !== undefined
        ? { attribute, name: person, value: known }
        : undefined;
    });
    if (fact) return fact;
  }
  return undefined;
}
