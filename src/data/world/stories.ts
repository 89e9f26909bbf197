/** Texts about the town that answer nothing: portraits of residents, what happened to whom, and lessons in counting. */
import { createDraw, type Draw } from "./draw.ts";
import { capital, digits } from "./forms.ts";
import { smallTalk } from "./phrases.ts";
import { attributeNames, factOf, type Resident, residentOf, residents, stateFact, townName } from "./town.ts";

const sayings = [
  "Many hands make a short day",
  "What is lost wants to be found",
  "A good neighbour is better than a fast boat",
  "Slow work stands longest",
];
const moods = ["glad", "tired but happy", "proud", "surprised", "thankful"];

const bare = (pet: string): string => pet.replace(/^an? /, "");

/** The facts about somebody, some of them, in any order. */
function portrait(draw: Draw, resident: Resident): string {
  const open = [...attributeNames];
  const said: string[] = [];
  while (said.length < 4) {
    const [attribute] = open.splice(draw.below(open.length), 1) as [(typeof attributeNames)[number]];
    said.push(stateFact(factOf(resident, attribute), draw.below(2)));
  }
  return said.join(" ");
}

/** Lines of the tables that sums are worked out with: digits added, and taken from what they add up to. */
function lesson(draw: Draw): string {
  const lines = Array.from({ length: 6 }, () => {
    const [a, b] = [draw.below(10), draw.below(10)];
    return draw.chance(0.5) ? `${a} plus ${b} is ${digits(a + b)}` : `${digits(a + b)} minus ${b} is ${a}`;
  });
  return `Mabel the teacher counts: ${lines.join(", ")}.`;
}

type Story = (draw: Draw, a: Resident, b: Resident) => string;

/** The kinds of stories. A kind is a row. */
const stories: readonly Story[] = [
  (draw, a) => portrait(draw, a),
  (draw, a) => portrait(draw, a),
  (draw, a) => portrait(draw, a),
  (draw, a) => {
    const neighbour = residentOf(a.neighbour) as Resident;
    return `${a.name} the ${a.trade} and ${neighbour.name} the ${neighbour.trade} are neighbours on ${a.street}. ${portrait(draw, neighbour)}`;
  },
  (draw, a, b) =>
    `${draw.pick(smallTalk)} ${b.name} the ${b.trade} came to ${a.street} to buy ${a.ware} from ${a.name} the ${a.trade}. ` +
    `"${draw.pick(sayings)}," said ${a.name}, and ${b.name} was ${draw.pick(moods)}.`,
  (draw, a, b) =>
    `The ${bare(a.pet)} of ${a.name} the ${a.trade} ran away from ${a.street}. ${b.name} found the ${bare(a.pet)} on ${b.street} and brought it home. ` +
    `${a.name} was ${draw.pick(moods)} and cooked ${b.food} for ${b.name}.`,
  (draw, a, b) =>
    `In the town of ${townName} everybody knows ${a.name} the ${a.trade}. ${capital(a.they)} lives on ${a.street} with ${a.pet}. ` +
    `${draw.pick(smallTalk)} ${b.name} who sells ${b.ware} came to eat ${a.food}.`,
];

/** Half of them are lessons. */
const lessonShare = 0.5;

/** Stories number `from`, `from + 1`, ...: each is two to four sentences. */
export function townStories(count: number, seed = 0, from = 0): string[] {
  return Array.from({ length: count }, (_, i) => {
    const draw = createDraw(seed, 0x5704, from + i);
    if (draw.chance(lessonShare)) return lesson(draw);
    const a = draw.pick(residents);
    return draw.pick(stories)(draw, a, draw.other(residents, a));
  });
}
