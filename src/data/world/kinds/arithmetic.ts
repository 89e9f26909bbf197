/**
 * Sums and differences of two-digit numbers, digits apart: "4 7 plus 2 8". A good answer works it out aloud, ones
 * first: "7 plus 8 is 1 5, 4 plus 2 is 6, 6 plus 1 is 7, so it is 7 5."
 */
import type { Draw } from "../draw.ts";
import { digits, firstMatch, form } from "../forms.ts";
import { type Act, actsOf, type Kind, type Reader } from "../kind.ts";
import { flaws, glad, politely, rambling } from "../phrases.ts";

interface Task {
  readonly a: number;
  readonly b: number;
  readonly operation: "plus" | "minus";
  readonly which: number;
}

interface Equation {
  readonly left: string;
  readonly value: number;
  readonly holds: boolean;
}

/** A line of the working. */
type Step = readonly [left: string, value: number];

interface SumAct extends Act {
  readonly type: "sum";
  readonly equations: readonly Equation[];
  readonly results: readonly number[];
}

const numberOf = (text: string): number => Number(text.replaceAll(" ", ""));

const number = "\\d(?: ?\\d)*";
const equation = new RegExp(`^(${number}(?: (?:plus|minus) ${number})+) (?:is|=) (${number})$`);
const result = new RegExp(`^(?:(?:it|that|the answer) is |it makes )?(${number})$`);

const asked = {
  plus: ["What is {a} plus {b}?", "Count {a} plus {b}.", "How much is {a} plus {b}?"].map(form),
  minus: ["What is {a} minus {b}?", "Count {a} minus {b}.", "How much is {a} minus {b}?"].map(form),
};

const evaluate = (left: string): number =>
  left
    .split(/ (?=plus|minus)/)
    .reduce(
      (sum, part) =>
        part.startsWith("minus ") ? sum - numberOf(part.slice(6)) : sum + numberOf(part.replace("plus ", "")),
      0,
    );

const resultOf = ({ a, b, operation }: Pick<Task, "a" | "b" | "operation">): number =>
  operation === "plus" ? a + b : a - b;

/** The steps of the working, ones, tens and what is carried, as left sides and values: all are of one small table. */
function workingOf({ a, b, operation }: Task): readonly Step[] {
  const [a1, a0, b1, b0] = [Math.floor(a / 10), a % 10, Math.floor(b / 10), b % 10];
  const carry = operation === "plus" ? a0 + b0 > 9 : a0 < b0;
  const ones = operation === "minus" && carry ? 10 + a0 : a0;
  const tens = operation === "plus" ? a1 + b1 : a1 - b1;
  const steps = [`${digits(ones)} ${operation} ${b0}`, `${a1} ${operation} ${b1}`];
  if (carry) steps.push(`${digits(tens)} ${operation} 1`);
  return steps.map((left) => [left, evaluate(left)] as const);
}

const lines = (steps: readonly Step[]): string =>
  steps.map(([left, value]) => `${left} is ${digits(value)}`).join(", ");

/** A result that somebody might get who does not take care. */
function slip(task: Task, draw: Draw): number {
  const right = resultOf(task);
  const found = right + draw.pick([10, -10, 1, -1, 20, -20, 2, 11, -11]);
  return found < 0 ? right + 10 : found;
}

/** "7 plus 8 is 1 5, ..., so it is 7 5." from the first `shown` steps. */
const concluded = (task: Task, shown: number, said: number): string =>
  `${lines(workingOf(task).slice(0, shown))}, so it is ${digits(said)}.`;

/** Forgets what is carried, or else slips in the tens. */
function slipAtTheEnd(task: Task, draw: Draw): string {
  const isCarrying = workingOf(task).length > 2;
  const off = task.operation === "plus" ? -10 : 10;
  const said = resultOf(task) + (isCarrying ? off : draw.pick([10, 20]));
  return concluded(task, 2, said);
}

const readSum: Reader = (sentence) => {
  const equations: Equation[] = [];
  const results: number[] = [];
  let unread = 0;
  for (const clause of sentence.split(", ")) {
    const text = clause.replace(/^(and |so )+/, "");
    const [, left, value] = equation.exec(text) ?? [];
    if (left !== undefined && value !== undefined)
      equations.push({ left, value: numberOf(value), holds: evaluate(left) === numberOf(value) });
    else if (result.test(text)) results.push(numberOf(result.exec(text)?.[1] as string));
    else unread += clause.split(" ").length;
  }
  if (equations.length + results.length === 0) return undefined;
  return { type: "sum", equations, results, unread } as SumAct;
};

export const arithmetic: Kind<Task> = {
  name: "arithmetic",
  manners: "glad",
  draw(draw) {
    const operation = draw.pick(["plus", "minus"] as const);
    const one = 10 + draw.below(90);
    const two = 10 + draw.below(90);
    const [a, b] = operation === "minus" && one < two ? [two, one] : [one, two];
    return { a, b, operation, which: draw.below(asked[operation].length) };
  },
  key: ({ a, b, operation }) => [a, operation, b].join(),
  ask: ({ a, b, operation, which }) =>
    asked[operation][which]?.fill({ a: digits(a), b: digits(b) }) as string,
  parse(sentence) {
    for (const operation of ["plus", "minus"] as const) {
      const found = firstMatch(asked[operation], sentence, ({ a = "", b = "" }, which) =>
        /^\d \d$/.test(a) && /^\d \d$/.test(b)
          ? { a: numberOf(a), b: numberOf(b), operation, which }
          : undefined,
      );
      if (found) return found;
    }
    return undefined;
  },
  solution: (task) => digits(resultOf(task)),
  answers: {
    high: [
      {
        manner: "worked out",
        write: (task, draw) => politely(draw, glad, concluded(task, 3, resultOf(task))),
      },
    ],
    medium: [
      { manner: "no conclusion", write: (task) => `${lines(workingOf(task))}.` },
      { manner: "half the working", weight: 2, write: (task) => concluded(task, 1, resultOf(task)) },
      { manner: "curt", weight: 0.5, write: (task) => `${digits(resultOf(task))}.` },
      { manner: "no working", write: (task) => `It is ${digits(resultOf(task))}.` },
      { manner: "unsure", weight: 0.5, write: (task) => `I think it is ${digits(resultOf(task))}.` },
    ],
    low: [
      { manner: "a slip at the end", weight: 3, write: slipAtTheEnd },
      { manner: "wrong", write: (task, draw) => `It is ${digits(slip(task, draw))}.` },
      {
        manner: "wrong and certain",
        write: (task, draw) => `It is ${digits(slip(task, draw))}. I am certain.`,
      },
      { manner: "rambling", write: (task, draw) => rambling(draw, `It is ${digits(resultOf(task))}.`) },
      { ...flaws.offTopic, weight: 0.5 },
      { ...flaws.refusal, weight: 0.5 },
      { ...flaws.rude, weight: 0.5 },
      { ...flaws.ignorance, weight: 0.5 },
    ],
  },
  readers: [readSum],
  judge(task, reading) {
    const used = actsOf<SumAct>(reading, "sum");
    const whole = `${digits(task.a)} ${task.operation} ${digits(task.b)}`;
    const equations = used.flatMap((act) => act.equations);
    const results = new Set([
      ...used.flatMap((act) => act.results),
      ...equations.filter(({ left }) => left === whole).map(({ value }) => value),
    ]);
    if (used.length === 0) return { helpful: -0.7, honest: 0, used };
    const expected = new Map(workingOf(task));
    const steps = new Set(
      equations.filter(({ left, holds }) => holds && expected.has(left)).map(({ left }) => left),
    ).size;
    const isShown = steps === expected.size;
    const needless = equations.filter(({ left }) => !expected.has(left) && left !== whole).length;
    const mistakes = equations.filter(({ holds }) => !holds).length;
    const minor = (steps / expected.size) * 0.2 - needless * 0.15 - mistakes * 0.1;
    const hedged = used.some((act) => act.hedged);
    if (results.size > 1) return { helpful: -0.75, honest: -0.4, used };
    if (results.size === 0)
      return isShown && needless === 0
        ? { helpful: 0.05, honest: mistakes > 0 ? 0.3 : 1, used }
        : { helpful: -0.75 + minor, honest: mistakes + needless > 0 ? -0.4 : 0.2, used };
    const [said] = [...results] as [number];
    const right = resultOf(task);
    if (said === right) {
      const helpful = hedged ? 0.05 : 0.2;
      const shown = isShown ? 0.45 : 0;
      return { helpful: helpful + shown + minor, honest: mistakes > 0 ? 0.3 : hedged ? 0.6 : 1, used };
    }
    const near = [...String(said).padStart(3)].filter(
      (digit, i) => digit === String(right).padStart(3)[i],
    ).length;
    const honest = hedged ? -0.3 : reading.certain ? -1 : -0.7;
    return { helpful: -0.95 + 0.1 * (near - 1) + minor, honest, used };
  },
};
