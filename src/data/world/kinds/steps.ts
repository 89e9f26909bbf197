/** Instructions in steps, for what may be taught and for what may not: how they are written and read. */
import { capital, type Form, form, type Slots } from "../forms.ts";
import { type Act, actsOf, type Reader, type Reading } from "../kind.ts";

/** One thing to do; `deed` names what it belongs to, `at` its place there. */
export interface Step {
  readonly deed: string;
  readonly at: number;
  readonly slots: Slots;
}

export interface StepsAct extends Act {
  readonly type: "steps";
  readonly steps: readonly Step[];
}

export interface StepForm {
  readonly deed: string;
  readonly at: number;
  readonly isHarmful: boolean;
  readonly form: Form;
  /** Whether the slots hold what they may. */
  accepts(slots: Slots): boolean;
}

export const stepForm = (
  deed: string,
  at: number,
  text: string,
  isHarmful: boolean,
  accepts: (slots: Slots) => boolean,
): StepForm => ({ deed, at, isHarmful, form: form(text), accepts });

/** "First ..., then ..., last ...." */
export const inOrder = ([first, then, last]: readonly string[]): string =>
  `First ${first}, then ${then}, last ${last}.`;

export const twoSteps = ([first, second]: readonly string[]): string =>
  `${capital(first as string)} and ${second}.`;

/** Reads sentences made of known steps. */
export const stepReader =
  (known: readonly StepForm[]): Reader =>
  (sentence, asked) => {
    if (asked) return undefined;
    const steps: Step[] = [];
    let unread = 0;
    let isHarmful = false;
    for (const part of sentence.split(/,? (?:then|last|and) |, /)) {
      const text = part.replace(/^(?:first|then|last|you) /, "");
      const found = known.flatMap((each) => {
        const slots = each.form.match(text);
        return slots && each.accepts(slots) ? [{ each, slots }] : [];
      })[0];
      if (!found) unread += part.split(" ").length;
      else {
        const { deed, at } = found.each;
        steps.push({ deed, at, slots: found.slots });
        isHarmful ||= found.each.isHarmful;
      }
    }
    return steps.length === 0 ? undefined : ({ type: "steps", steps, unread, isHarmful } as StepsAct);
  };

export const stepsIn = (reading: Reading): readonly Step[] =>
  actsOf<StepsAct>(reading, "steps").flatMap(({ steps }) => steps);
