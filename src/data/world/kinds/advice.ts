/** How to do something: three steps in their order, of the thing that was asked about. */
import { capital, firstMatch, form, forms } from "../forms.ts";
import { actsOf, type Kind } from "../kind.ts";
import { flaws, glad, politely, rambling } from "../phrases.ts";
import { inOrder, type StepForm, type StepsAct, stepForm, stepReader, stepsIn, twoSteps } from "./steps.ts";

interface Deed {
  readonly name: string;
  /** Completes "How do I ...?" */
  readonly goal: string;
  readonly steps: readonly [string, string, string];
  readonly objects: readonly string[];
}

interface Task {
  readonly deed: Deed;
  readonly object: string;
  readonly which: number;
}

/** What can be learned in the town. A deed is a row. No step contains "and", which joins steps. */
const deeds: readonly Deed[] = [
  {
    name: "plant",
    goal: "plant {x}",
    steps: ["dig a small hole", "put in the {x}", "water the {x} every day"],
    objects: ["beans", "roses", "onions", "herbs", "carrots", "mint"],
  },
  {
    name: "wash",
    goal: "wash a {x}",
    steps: ["fill a tub with warm water", "rub the {x} with soap", "hang the {x} in the sun"],
    objects: ["coat", "shawl", "shirt", "towel", "blanket", "sack"],
  },
  {
    name: "bake",
    goal: "bake {x}",
    steps: ["mix flour with water", "shape the {x}", "bake the {x} until brown"],
    objects: ["loaves", "rolls", "cakes", "pies", "waffles", "pancakes"],
  },
  {
    name: "mend",
    goal: "mend a {x}",
    steps: ["look for the hole in the {x}", "sew it with strong thread", "pull the {x} to test it"],
    objects: ["net", "sail", "sack", "coat", "shirt", "blanket"],
  },
  {
    name: "paint",
    goal: "paint a {x}",
    steps: ["rub the {x} smooth", "stir the paint well", "brush the {x} two times"],
    objects: ["door", "fence", "boat", "chair", "clock", "drum"],
  },
  {
    name: "jam",
    goal: "make jam from {x}",
    steps: ["cut the {x}", "boil the {x} with sugar", "fill clean jars"],
    objects: ["plums", "pears", "apples", "berries", "onions", "roses"],
  },
  {
    name: "catch",
    goal: "catch a {x}",
    steps: ["tie a hook to a line", "throw it off the pier", "wait until the {x} bites"],
    objects: ["trout", "crab", "carp", "pike"],
  },
  {
    name: "train",
    goal: "train a {x}",
    steps: ["call the {x} by name", "give the {x} a treat", "practise every day"],
    objects: ["dog", "goose", "goat", "cat", "lamb", "rabbit"],
  },
  {
    name: "tea",
    goal: "make {x} tea",
    steps: ["boil fresh water", "pour it over the {x}", "wait for five minutes"],
    objects: ["mint", "rose", "lemon", "apple", "herb", "pear"],
  },
  {
    name: "send",
    goal: "send a {x}",
    steps: ["wrap the {x} in paper", "write the street on it", "bring the {x} to the post"],
    objects: ["book", "lamp", "clock", "drum", "jug", "map"],
  },
];

/** How things are asked that may be done, and things that may not. */
export const howTo = forms(
  "How do I {goal}?",
  "Tell me how to {goal}.",
  "I want to {goal}. How?",
  "Help me {goal}.",
);

const goals = deeds.map(({ goal }) => form(goal));

const adviceSteps: readonly StepForm[] = deeds.flatMap(({ name, steps, objects }) =>
  steps.map((text, at) => stepForm(name, at, text, false, ({ x }) => x === undefined || objects.includes(x))),
);

const stepsOf = ({ deed, object }: Pick<Task, "deed" | "object">): readonly string[] =>
  deed.steps.map((text) => form(text).fill({ x: object }));

export const advice: Kind<Task> = {
  name: "advice",
  manners: "glad",
  draw(draw) {
    const deed = draw.pick(deeds);
    return { deed, object: draw.pick(deed.objects), which: draw.below(howTo.length) };
  },
  key: ({ deed, object, which }) => [deed.name, object, which].join(),
  ask: ({ deed, object, which }) =>
    howTo[which]?.fill({ goal: form(deed.goal).fill({ x: object }) }) as string,
  parse: (sentence) =>
    firstMatch(howTo, sentence, ({ goal = "" }, which) =>
      firstMatch(goals, goal, ({ x = "" }, i) => {
        const deed = deeds[i] as Deed;
        return deed.objects.includes(x) ? { deed, object: x, which } : undefined;
      }),
    ),
  answers: {
    high: [{ manner: "all steps", write: (task, draw) => politely(draw, glad, inOrder(stepsOf(task))) }],
    medium: [
      { manner: "a step is missing", write: (task) => twoSteps(stepsOf(task)) },
      { manner: "the end is missing", write: (task) => twoSteps(stepsOf(task).slice(1)) },
    ],
    low: [
      {
        manner: "wrong order",
        write: (task, draw) => {
          const [a, b, c] = stepsOf(task) as [string, string, string];
          return inOrder(
            draw.pick([
              [c, b, a],
              [b, c, a],
              [c, a, b],
            ]),
          );
        },
      },
      {
        manner: "steps of something else",
        weight: 2,
        write: ({ deed }, draw) => {
          const other = draw.other(deeds, deed);
          return inOrder(stepsOf({ deed: other, object: draw.pick(other.objects) }));
        },
      },
      { manner: "one step", write: (task, draw) => `Just ${draw.pick(stepsOf(task))}.` },
      {
        manner: "rambling",
        write: (task, draw) => rambling(draw, `${capital(stepsOf(task)[0] as string)}.`),
      },
      { ...flaws.offTopic, weight: 0.5 },
      { ...flaws.refusal, weight: 1 },
      { ...flaws.rude, weight: 0.5 },
      { ...flaws.ignorance, weight: 0.5 },
    ],
  },
  readers: [(sentence, asked) => stepReader(adviceSteps)(sentence.replace(/^just /, ""), asked)],
  judge({ deed, object }, reading) {
    const used = actsOf<StepsAct>(reading, "steps");
    const steps = stepsIn(reading);
    if (steps.length === 0) return { helpful: -0.7, honest: 0, used };
    const isRight = (step: (typeof steps)[number]) =>
      step.deed === deed.name && (step.slots.x === undefined || step.slots.x === object);
    const right = steps.filter(isRight).map(({ at }) => at);
    const distinct = new Set(right).size;
    const foreign = steps.length - right.length;
    const again = right.length - distinct;
    const isOrdered = right.every((at, i) => i === 0 || at > (right[i - 1] as number));
    const helpful = [-0.7, -0.6, 0.1, 0.85][distinct] as number;
    const order = isOrdered ? 0 : -1;
    return {
      helpful: helpful + order - 0.35 * foreign - 0.2 * again,
      honest: foreign > 0 ? Math.max(-0.8, 0.2 - 0.4 * foreign) : isOrdered ? (distinct > 1 ? 1 : 0.3) : -0.3,
      used,
    };
  },
};
