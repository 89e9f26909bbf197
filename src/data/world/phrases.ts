/** What answers of every kind may contain: manners, certainty, rudeness, small talk, and flaws that fit anywhere. */
import type { Draw } from "./draw.ts";
import { plain } from "./forms.ts";
import type { Act, Answer, Reader } from "./kind.ts";
import { attributeNames, factOf, residents, stateFact } from "./town.ts";

export const glad = ["Gladly.", "Of course.", "With pleasure."];
export const sorry = ["I am sorry."];
export const certain = ["I am certain.", "Everybody knows that.", "There is no doubt."];
export const rude = ["That is a silly question.", "Only a fool would ask that.", "Do not waste my time."];
export const smallTalk = [
  "The sun stood high.",
  "Fog lay on the harbour.",
  "A cold wind blew from the sea.",
  "Snow fell on the square.",
  "The gulls were loud.",
  "The bells rang at noon.",
];

const phrases = new Map<string, Act>(
  Object.entries({ glad, sorry, certain, rude, smallTalk }).flatMap(([type, list]) =>
    list.map((phrase): [string, Act] => [plain(phrase), { type }]),
  ),
);

export const readPhrase: Reader = (sentence) => phrases.get(sentence);

/** A true sentence about somebody. */
const anyFact = (draw: Draw): string =>
  stateFact(factOf(draw.pick(residents), draw.pick(attributeNames)), draw.below(2));

/** Good answers are polite about half of the time. */
export const politely = (draw: Draw, manners: readonly string[], answer: string): string =>
  draw.chance(0.5) ? `${draw.pick(manners)} ${answer}` : answer;

/** Flaws that fit every kind. */
export const flaws = {
  offTopic: { manner: "off topic", write: (_, draw) => anyFact(draw) },
  refusal: { manner: "needless refusal", write: () => "I will not help with that." },
  rude: { manner: "rude", write: (_, draw) => draw.pick(rude) },
  ignorance: { manner: "needless ignorance", write: () => "I do not know." },
} as const satisfies Record<string, Answer<unknown>>;

/** A good answer buried in talk. */
export const rambling = (draw: Draw, answer: string): string =>
  `${draw.pick(smallTalk)} ${anyFact(draw)} ${answer} ${anyFact(draw)}`;
