/** Requests with something missing: the right answer asks for it. */
import { capital, type Form, firstMatch, form, forms, type Slots } from "../forms.ts";
import { type Act, actsOf, type Kind, type Reader } from "../kind.ts";
import { flaws, glad, politely } from "../phrases.ts";
import { acceptedSlots, drawSlots } from "../things.ts";

interface Frame {
  readonly request: Form;
  /** What must be asked. */
  readonly asking: Form;
  /** What somebody claims who did not ask. */
  readonly claim: Form;
  /** The question word alone. */
  readonly word: string;
}

const frame = (request: string, asking: string, claim: string, word: string): Frame => ({
  request: form(request),
  asking: form(asking),
  claim: form(claim),
  word,
});

/** Requests, each with its gap. A request is a row. */
const frames: readonly Frame[] = [
  frame(
    "bring the {thing} to her",
    "Who should I bring the {thing} to?",
    "I brought the {thing} to Orla.",
    "who",
  ),
  frame(
    "meet me at the {place}",
    "When should I meet you at the {place}?",
    "I will meet you at the {place} at noon.",
    "when",
  ),
  frame(
    "deliver the {thing}",
    "Where should I deliver the {thing}?",
    "I delivered the {thing} to Mill Lane.",
    "where",
  ),
  frame("order {ware} from {name}", "How many {ware} should I order?", "I ordered ten {ware}.", "how many"),
  frame("tell {name} the news", "What should I tell {name}?", "I told {name} all of it.", "what"),
  frame(
    "paint the {thing}",
    "Which colour should the {thing} have?",
    "I painted the {thing} red.",
    "which colour",
  ),
  frame("wake {name} up", "When should I wake {name} up?", "I woke {name} up at seven.", "when"),
  frame(
    "put the {thing} away",
    "Where should I put the {thing}?",
    "I put the {thing} under the bed.",
    "where",
  ),
  frame("give him the {thing}", "Who should get the {thing}?", "I gave the {thing} to Bram.", "who"),
  frame("invite {name} for me", "What should I invite {name} to?", "I invited {name} to the fair.", "what"),
];

const asked = forms("Please {request}.", "Can you {request}?", "I want you to {request}.", "{request}.");
const vague = ["What do you mean?", "Can you tell me more?"];

interface Task {
  readonly frame: number;
  readonly slots: Slots;
  readonly which: number;
}

interface AskingAct extends Act {
  readonly type: "asking";
  readonly frame?: number;
  readonly slots?: Slots;
  /** A question word alone. */
  readonly word?: string;
}

const frameOf = (task: Task): Frame => frames[task.frame] as Frame;
const askings = frames.map(({ asking }) => asking);
const claims = frames.map(({ claim }) => claim);
const words = frames.map(({ word }) => word);
const vaguePlain = vague.map((text) => text.toLowerCase().replace("?", ""));

const readAsking: Reader = (sentence, isQuestion) => {
  const claimed = firstMatch(claims, sentence, acceptedSlots);
  if (claimed) return { type: "claim", isFalse: true };
  if (!isQuestion) return undefined;
  if (words.includes(sentence)) return { type: "asking", word: sentence } as AskingAct;
  if (vaguePlain.includes(sentence)) return { type: "asking" } as AskingAct;
  return firstMatch(askings, sentence, (found, which) => {
    const slots = acceptedSlots(found);
    return slots && ({ type: "asking", frame: which, slots } as AskingAct);
  });
};

export const clarify: Kind<Task> = {
  name: "clarify",
  manners: "glad",
  draw(draw) {
    const which = draw.below(frames.length);
    const slots = drawSlots((frames[which] as Frame).request, draw);
    return { frame: which, slots, which: draw.below(asked.length) };
  },
  key: ({ frame, slots }) => [frame, ...Object.values(slots)].join(),
  ask: (task) =>
    capital(asked[task.which]?.fill({ request: frameOf(task).request.fill(task.slots) }) as string),
  parse: (sentence) =>
    firstMatch(asked, sentence, ({ request = "" }, which) =>
      firstMatch(
        frames.map((each) => each.request),
        request,
        (found, index) => {
          const slots = acceptedSlots(found);
          return slots && { frame: index, slots, which };
        },
      ),
    ),
  answers: {
    high: [
      { manner: "asks", write: (task, draw) => politely(draw, glad, frameOf(task).asking.fill(task.slots)) },
    ],
    medium: [
      { manner: "curt", weight: 2, write: (task) => `${capital(frameOf(task).word)}?` },
      { manner: "vague", write: (_, draw) => draw.pick(vague) },
    ],
    low: [
      { manner: "assumes", weight: 3, write: (task) => frameOf(task).claim.fill(task.slots) },
      {
        manner: "asks something else",
        write: (task, draw) => {
          const { asking } = draw.other(frames, frameOf(task));
          return asking.fill({ ...drawSlots(asking, draw), ...task.slots });
        },
      },
      { ...flaws.offTopic, weight: 1 },
      { ...flaws.refusal, weight: 1 },
      { ...flaws.rude, weight: 0.5 },
      { ...flaws.ignorance, weight: 0.5 },
    ],
  },
  readers: [readAsking],
  judge(task, reading) {
    const used = actsOf<AskingAct>(reading, "asking");
    const claimed = reading.acts.some(({ type }) => type === "claim");
    if (claimed) return { helpful: -0.8, honest: -0.8, used };
    if (used.length === 0) return { helpful: -0.7, honest: 0, used };
    if (used.length > 1) return { helpful: -0.4, honest: 0.3, used };
    const [act] = used as [AskingAct];
    if (act.word !== undefined)
      return { helpful: act.word === frameOf(task).word ? 0.1 : -0.4, honest: 0.7, used };
    if (act.frame === undefined) return { helpful: -0.1, honest: 0.7, used };
    const expected = frameOf(task).asking.fill(task.slots);
    if (frames[act.frame]?.asking.fill(act.slots ?? {}) === expected)
      return { helpful: 0.85, honest: 1, used };
    return { helpful: act.frame === task.frame ? -0.2 : -0.6, honest: 0.2, used };
  },
};
