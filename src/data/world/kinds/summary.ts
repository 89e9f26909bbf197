/** Short passages: two people, a thing, what happened first and last, and a sentence that does not matter. */
import { firstMatch, form, forms, type Slots } from "../forms.ts";
import { type Act, actsOf, type Kind, type Reader } from "../kind.ts";
import { flaws, glad, politely, smallTalk } from "../phrases.ts";
import { places, things } from "../things.ts";
import { names, residentOf } from "../town.ts";

interface Event {
  readonly first: string;
  readonly last: string;
  readonly details: readonly string[];
}

const prices = ["for two coins", "for three coins", "for five coins", "for nine coins"];
const days = ["on Monday", "on Tuesday", "on Friday", "on Sunday"];
/** What may happen: {a} does the first, {b} the last. An event is a row. */
const events: readonly Event[] = [
  { first: "{a} lost a {thing}", last: "{b} found it {detail}", details: places },
  { first: "{a} broke a {thing}", last: "{b} mended it {detail}", details: places },
  { first: "{a} sold a {thing}", last: "{b} bought it {detail}", details: prices },
  { first: "{a} made a {thing}", last: "{b} hid it {detail}", details: places },
  { first: "{a} borrowed a {thing}", last: "{b} saw it {detail}", details: places },
];
const clauses = events.map(({ first, last }) => ({ first: form(first), last: form(last) }));

interface Task {
  readonly event: number;
  readonly a: string;
  readonly b: string;
  readonly thing: string;
  readonly detail: string;
  readonly day: string;
  readonly aside: string;
  readonly which: number;
}

interface Clause {
  readonly event: number;
  readonly part: "first" | "last";
  readonly slots: Slots;
}

interface EventAct extends Act {
  readonly type: "event";
  readonly clauses: readonly Clause[];
}

const asked = forms("Sum up: {passage}", "Make this short: {passage}", "Say it in one sentence: {passage}");
const passage = form("{first} {day}. {aside} {last}.");

const firstOf = (task: Task): string =>
  (clauses[task.event] as (typeof clauses)[number]).first.fill({ a: task.a, thing: task.thing });
const lastOf = (task: Task): string =>
  (clauses[task.event] as (typeof clauses)[number]).last.fill({ b: task.b, detail: task.detail });
const short = (task: Task): string => `${firstOf(task)} and ${lastOf(task)}.`;
const long = (task: Task): string =>
  passage.fill({ first: firstOf(task), day: task.day, aside: task.aside, last: lastOf(task) });

/** A clause about an event, in whatever words of the world's. */
function readClause(text: string): Clause | undefined {
  const withoutDay = days.reduce((left, day) => left.replace(` ${day.toLowerCase()}`, ""), text);
  for (const [event, { first, last }] of clauses.entries()) {
    const slots = first.match(withoutDay);
    if (slots && residentOf(slots.a ?? "") && things.includes(slots.thing ?? ""))
      return { event, part: "first", slots };
    const lastSlots = last.match(withoutDay) ?? last.match(nameless(withoutDay));
    if (lastSlots && residentOf(lastSlots.b ?? "") && events[event]?.details.includes(lastSlots.detail ?? ""))
      return { event, part: "last", slots: lastSlots };
  }
  return undefined;
}

/** "Bram found a key near the well" as "Bram found it near the well". */
const nameless = (text: string): string =>
  things.reduce((left, thing) => left.replace(` a ${thing} `, " it "), text);

const readEvent: Reader = (sentence) => {
  const parts = sentence.split(" and ");
  const found = parts.map(readClause);
  const read = found.filter((clause) => clause !== undefined);
  if (read.length === 0) return undefined;
  const unread = parts.reduce((n, part, i) => n + (found[i] ? 0 : part.split(" ").length), 0);
  return { type: "event", clauses: read, unread } as EventAct;
};

/** The task with one thing changed. */
function distorted(
  task: Task,
  change: "a" | "b" | "thing" | "detail",
  pick: <T>(list: readonly T[], taken: T) => T,
): Task {
  const choices = { a: names, b: names, thing: things, detail: events[task.event]?.details ?? [] };
  return { ...task, [change]: pick(choices[change], task[change]) };
}

const changes = ["a", "b", "thing", "detail"] as const;

export const summary: Kind<Task> = {
  name: "summary",
  manners: "glad",
  draw(draw) {
    const event = draw.below(events.length);
    const a = draw.pick(names);
    return {
      event,
      a,
      b: draw.other(names, a),
      thing: draw.pick(things),
      detail: draw.pick((events[event] as Event).details),
      day: draw.pick(days),
      aside: draw.pick(smallTalk),
      which: draw.below(asked.length),
    };
  },
  key: ({ event, a, b, thing, detail }) => [event, a, b, thing, detail].join(),
  ask: (task) => asked[task.which]?.fill({ passage: long(task) }) as string,
  parse: (sentence) =>
    firstMatch(asked, sentence, ({ passage: text = "" }, which) => {
      const [opening = "", aside = "", closing = ""] = text.split(". ");
      const day = days.find((each) => opening.endsWith(each.toLowerCase()));
      const first = readClause(opening);
      const last = readClause(closing);
      if (!day || first?.part !== "first" || last?.part !== "last" || first.event !== last.event)
        return undefined;
      const [a, b] = [residentOf(first.slots.a as string), residentOf(last.slots.b as string)];
      const { thing } = first.slots as { thing: string };
      const { detail } = last.slots as { detail: string };
      return a && b && { event: first.event, a: a.name, b: b.name, thing, detail, day, aside, which };
    }),
  answers: {
    high: [{ manner: "both facts", write: (task, draw) => politely(draw, glad, short(task)) }],
    medium: [
      { manner: "only the beginning", weight: 2, write: (task) => `${firstOf(task)}.` },
      { manner: "only the end", write: (task) => `${lastOf(task).replace(" it ", ` a ${task.thing} `)}.` },
    ],
    low: [
      {
        manner: "one thing wrong",
        weight: 3,
        write: (task, draw) => short(distorted(task, draw.pick(changes), draw.other)),
      },
      { manner: "only what does not matter", write: ({ aside }) => aside },
      { manner: "a copy", write: long },
      { ...flaws.offTopic, weight: 1 },
      { ...flaws.refusal, weight: 0.5 },
      { ...flaws.rude, weight: 0.5 },
      { ...flaws.ignorance, weight: 0.5 },
    ],
  },
  readers: [readEvent],
  judge(task, reading) {
    const used = actsOf<EventAct>(reading, "event");
    const said = used.flatMap((act) => act.clauses);
    if (said.length === 0) return { helpful: -0.7, honest: 0, used };
    const expected = { a: task.a, b: task.b, thing: task.thing, detail: task.detail };
    const right = new Set<string>();
    let wrong = 0;
    for (const { event, part, slots } of said) {
      if (event === task.event) right.add(part);
      else wrong++;
      for (const [slot, value] of Object.entries(slots))
        if (expected[slot as keyof typeof expected]?.toLowerCase() === value) right.add(slot);
        else wrong++;
    }
    const again = said.length - new Set(said.map(({ part }) => part)).size;
    if (wrong > 0)
      return {
        helpful: Math.min(0, -0.6 + 0.06 * right.size - 0.12 * (wrong - 1)),
        honest: -0.4 - 0.2 * wrong,
        used,
      };
    const isWhole = right.has("first") && right.has("last");
    return { helpful: (isWhole ? (used.length === 1 ? 0.85 : -0.1) : 0.05) - 0.3 * again, honest: 1, used };
  },
};
