/** Environments held to the protocol: what one throws, or answers wrongly, is an error that names it, the call and the turn. */
import { AttuneError } from "../../graph/errors.ts";
import { shortened } from "../../reward/reward.ts";
import { TrainError } from "../errors.ts";
import type { Environment, MakeEnvironment, ResetOptions, Step } from "./environment.ts";

/**
 * The same environments, checked. One that is checked already keeps the name it has in messages.
 *
 * @throws TrainError from making one, reset, step and close: when they throw, or do not answer as they must
 */
export function checkedEnvironments(make: MakeEnvironment, name: string): MakeEnvironment {
  const what = `environment ${name}`;
  return async () => {
    const one: unknown = await call(`${what}: threw when it was made`, make);
    if (!isEnvironment(one))
      throw new TrainError(
        `${what}: an object with the functions reset and step is required, got ${describe(one)}; return one from the function that makes environments`,
      );
    let turn = 0;
    return {
      async reset(options: ResetOptions) {
        turn = 0;
        const at = `${what}: reset with seed ${options.seed}`;
        const answer = await call(`${at} threw`, () => one.reset(options));
        checkText(answer?.observation, at);
        return answer;
      },
      async step(action: string) {
        turn++;
        const at = `${what}: step in turn ${turn}`;
        const answer = await call(`${at} threw on ${shortened(action)}`, () => one.step(action));
        checkStep(answer, at);
        return answer;
      },
      async close() {
        await call(`${what}: close threw`, () => one.close?.());
      },
    };
  };
}

/** What the user's function gives; its exceptions say where they come from, those of Attune and of a stop know it already. */
async function call<T>(what: string, work: () => T | Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof AttuneError || (error instanceof Error && error.name === "AbortError")) throw error;
    const message = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    throw new TrainError(`${what}: ${message}; correct the environment`, { cause: error });
  }
}

function isEnvironment(value: unknown): value is Environment {
  const { reset, step } = (value ?? {}) as Partial<Environment>;
  return typeof reset === "function" && typeof step === "function";
}

function checkText(observation: unknown, at: string): void {
  if (typeof observation !== "string")
    throw new TrainError(`${at} must give an observation that is a text, got ${describe(observation)}`);
}

function checkStep(answer: Step | undefined, at: string): asserts answer is Step {
  checkText(answer?.observation, at);
  const { reward, ...ends } = answer as Step;
  if (!Number.isFinite(reward))
    throw new TrainError(
      `${at} must give a reward that is a finite number, got ${typeof reward === "number" ? reward : describe(reward)}`,
    );
  for (const name of ["terminated", "truncated"] as const)
    if (typeof ends[name] !== "boolean")
      throw new TrainError(
        `${at} must say whether it is ${name}, true or false, got ${describe(ends[name])}`,
      );
}

/** What came, in few words. */
function describe(value: unknown): string {
  if (value === undefined) return "nothing";
  if (typeof value === "string") return `the string ${shortened(value)}`;
  if (typeof value === "function") return "a function";
  if (typeof value !== "object" || value === null) return `${typeof value} ${String(value)}`;
  const keys = Object.keys(value);
  if (Array.isArray(value)) return "an array";
  return keys.length === 0 ? "an object without keys" : `an object with ${keys.slice(0, 4).join(", ")}`;
}
