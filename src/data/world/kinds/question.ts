/** Questions about the town: each fact is asked in several forms, and a good answer is one sentence with the fact. */
import type { Draw } from "../draw.ts";
import { capital, type Form, firstMatch } from "../forms.ts";
import { type Act, actsOf, type Kind, type Reader } from "../kind.ts";
import { flaws, glad, politely, rambling } from "../phrases.ts";
import {
  attributeNames,
  attributes,
  type Fact,
  factOf,
  isTrue,
  names,
  readFact,
  residentOf,
  residents,
  stateFact,
  valueOf,
} from "../town.ts";

interface Task {
  readonly fact: Fact;
  /** Asked for the person who has the value, instead of the value. */
  readonly reversed: boolean;
  readonly which: number;
}

interface FactAct extends Act {
  readonly type: "fact";
  readonly fact: Fact;
}

/** A bare value: "A goose." Which attribute it is of depends on the question. */
interface ValueAct extends Act {
  readonly type: "value";
  readonly text: string;
}

const questionsOf = ({ fact, reversed }: Pick<Task, "fact" | "reversed">): readonly Form[] =>
  (reversed ? attributes[fact.attribute].reversed : attributes[fact.attribute].questions) ?? [];

const curt = ({ fact, reversed }: Task): string =>
  reversed ? `${fact.name}.` : capital(attributes[fact.attribute].curt.fill({ value: fact.value }));

/** The fact with another value, or of another person. */
function wrong({ fact, reversed }: Task, draw: Draw): string {
  const others = (list: readonly string[]) =>
    list.filter((each) => each !== fact.name && each !== fact.value);
  return stateFact(
    reversed
      ? { ...fact, name: draw.pick(others(names)) }
      : { ...fact, value: draw.pick(others(attributes[fact.attribute].values)) },
  );
}

const readStatement: Reader = (sentence) => {
  const fact = readFact(sentence);
  return fact && ({ type: "fact", fact, isFalse: !isTrue(fact) } as FactAct);
};

const readValue: Reader = (sentence, asked) => {
  const text = sentence.replace(/^(on|the) /, "");
  const isValue = !asked && attributeNames.some((attribute) => valueOf(attribute, text) !== undefined);
  return isValue ? ({ type: "value", text } as ValueAct) : undefined;
};

export const question: Kind<Task> = {
  name: "question",
  manners: "glad",
  draw(draw) {
    const attribute = draw.pick(attributeNames);
    const fact = factOf(draw.pick(residents), attribute);
    const reversed = attributes[attribute].reversed !== undefined && draw.chance(0.4);
    return { fact, reversed, which: draw.below(questionsOf({ fact, reversed }).length) };
  },
  key: ({ fact, reversed, which }) => [fact.attribute, fact.name, reversed, which].join(),
  ask: (task) => (questionsOf(task)[task.which] as Form).fill({ ...task.fact }),
  parse(sentence) {
    for (const attribute of attributeNames) {
      const { questions, reversed } = attributes[attribute];
      const found =
        firstMatch(questions, sentence, ({ name = "" }, which) => {
          const resident = residentOf(name);
          return resident && { fact: factOf(resident, attribute), reversed: false, which };
        }) ??
        firstMatch(reversed ?? [], sentence, ({ value = "" }, which) => {
          const resident = residents.find((each) => each[attribute] === value);
          return resident && { fact: factOf(resident, attribute), reversed: true, which };
        });
      if (found) return found;
    }
    return undefined;
  },
  answers: {
    high: [
      { manner: "sentence", weight: 3, write: ({ fact }, draw) => politely(draw, glad, stateFact(fact)) },
      { manner: "other words", write: ({ fact }, draw) => politely(draw, glad, stateFact(fact, 1)) },
    ],
    medium: [
      { manner: "curt", weight: 2, write: curt },
      { manner: "unsure", write: ({ fact }) => `I think ${stateFact(fact)}` },
      {
        manner: "one thing too many",
        write: ({ fact }, draw) => {
          const more = factOf(draw.pick(residents), draw.pick(attributeNames));
          return `${stateFact(fact)} ${stateFact(more)}`;
        },
      },
    ],
    low: [
      { manner: "wrong", weight: 2, write: wrong },
      {
        manner: "wrong and certain",
        weight: 2,
        write: (task, draw) =>
          `${wrong(task, draw)} ${draw.pick(["I am certain.", "Everybody knows that."])}`,
      },
      { manner: "rambling", write: ({ fact }, draw) => rambling(draw, stateFact(fact)) },
      { ...flaws.offTopic, weight: 1 },
      { ...flaws.refusal, weight: 0.5 },
      { ...flaws.rude, weight: 0.5 },
      { ...flaws.ignorance, weight: 1 },
      {
        manner: "denies a neighbour",
        weight: 1.5,
        write: ({ fact }) => `I do not know anybody called ${fact.name}.`,
      },
    ],
  },
  readers: [readStatement, readValue],
  judge({ fact, reversed }, reading) {
    const statements = actsOf<FactAct>(reading, "fact").filter(
      (act) =>
        act.fact.attribute === fact.attribute &&
        (reversed ? act.fact.value === fact.value : act.fact.name === fact.name),
    );
    const isAsked = (text: string) =>
      reversed ? residentOf(text) !== undefined : valueOf(fact.attribute, text) !== undefined;
    const values = actsOf<ValueAct>(reading, "value").filter(({ text }) => isAsked(text));
    const said = new Set([
      ...statements.map((act) => (reversed ? act.fact.name : act.fact.value).toLowerCase()),
      ...values.map(({ text }) => text),
    ]);
    const used = [...statements, ...values];
    if (said.size === 0) return { helpful: -0.7, honest: 0, used };
    const isRight = said.has((reversed ? fact.name : fact.value).toLowerCase());
    const hedged = used.some((act) => act.hedged);
    if (said.size > 1) return { helpful: -0.75, honest: -0.6, used };
    if (!isRight) return { helpful: -0.8, honest: hedged ? -0.3 : reading.certain ? -1 : -0.7, used };
    if (hedged) return { helpful: 0.25, honest: 0.6, used };
    return { helpful: statements.length > 0 ? 0.85 : 0.1, honest: 1, used };
  },
};
