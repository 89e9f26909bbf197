/**
 * A reward that a server gives, in OpenRLHF's format:
 *
 *     POST {"query": ["prompt and response", ...], "prompts": ["prompt", ...], "labels": [...]}
 *     200  {"rewards": [0.3, ...]}        (also under "scores"; a list of lists of one number is read too)
 *
 * What may pass by itself (no connection, no answer in time, 408, 429, 5xx) is tried again, after 1, 2, 4, ... seconds
 * at most; what will not (another status, an answer that is no scores) ends at once.
 */
import { z } from "zod";
import { checkScores, type Reward, RewardError, type RewardInput } from "./reward.ts";
import { number } from "./rules/rule.ts";

export const remoteOptions = z.strictObject({
  /** Seconds that an answer may take. */
  timeout: number().default(180),
  /** Tries after the first one. */
  retries: number().default(4),
  /** Seconds before the second try; each later one waits twice as long, at most 30 s. */
  backoff: number().default(1),
  /** Rows of one request; all of a batch by default. */
  batch_size: number().optional(),
  /** The column that is sent as labels. */
  label: z.string().default("label"),
  headers: z.record(z.string(), z.string()).default({}),
});

export type RemoteOptions = z.input<typeof remoteOptions>;

/** How the outside is reached; tests pass their own. */
export interface RemoteParts {
  readonly fetch?: typeof fetch;
  readonly sleep?: (seconds: number, signal: AbortSignal | undefined) => Promise<void>;
  readonly signal?: AbortSignal;
}

/** A failure that a later try may not meet. */
class Passing extends Error {}

/**
 * @throws RewardError from the reward, when the server stays down or answers with something else than scores
 */
export function remoteReward(url: string, options: RemoteOptions = {}, parts: RemoteParts = {}): Reward {
  const { retries, backoff, batch_size: most, ...request } = remoteOptions.parse(options);
  const place = placeOf(url);
  const { sleep = pause, signal } = parts;
  const attempt = async (batch: readonly RewardInput[]): Promise<readonly number[]> => {
    for (let tries = 0; ; tries++)
      try {
        return await ask(url, batch, request, parts);
      } catch (error) {
        if (!(error instanceof Passing)) throw error;
        if (tries >= retries)
          throw new RewardError(
            `reward ${place}: no answer after ${tries + 1} ${tries === 0 ? "try" : "tries"} (${error.message}); is the server up, and the address right?`,
            { cause: error },
          );
        await sleep(Math.min(30, backoff * 2 ** tries), signal);
      }
  };
  return async (batch) => {
    const size = most ?? batch.length;
    const scores: number[] = [];
    for (let from = 0; from < batch.length; from += size)
      scores.push(...(await attempt(batch.slice(from, from + size))));
    return scores;
  };
}

/** The address without what may be secret in it. */
export function placeOf(url: string): string {
  const { origin, pathname } = new URL(url);
  return `${origin}${pathname}`;
}

interface RequestOptions {
  readonly timeout: number;
  readonly label: string;
  readonly headers: Readonly<Record<string, string>>;
}

async function ask(
  url: string,
  batch: readonly RewardInput[],
  { timeout, label, headers }: RequestOptions,
  { fetch: send = fetch, signal }: RemoteParts,
): Promise<readonly number[]> {
  const body = {
    query: batch.map(({ prompt, completion }) => prompt + completion),
    prompts: batch.map(({ prompt }) => prompt),
    labels: batch.map(({ row }) => row?.[label] ?? null),
  };
  const limit = AbortSignal.timeout(timeout * 1000);
  const place = placeOf(url);
  let status: number;
  let text: string;
  try {
    const response = await send(url, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: JSON.stringify(body),
      signal: signal ? AbortSignal.any([limit, signal]) : limit,
    });
    status = response.status;
    text = await response.text();
  } catch (error) {
    signal?.throwIfAborted();
    throw new Passing(limit.aborted ? `nothing came within ${timeout} s` : reasonOf(error), { cause: error });
  }
  if (status === 408 || status === 429 || status >= 500)
    throw new Passing(`status ${status}${excerpt(text)}`);
  if (status < 200 || status > 299)
    throw new RewardError(`reward ${place}: refused with status ${status}${excerpt(text)}`);
  return scoresIn(text, place, batch);
}

function scoresIn(text: string, place: string, batch: readonly RewardInput[]): readonly number[] {
  let reply: unknown;
  try {
    reply = JSON.parse(text);
  } catch (cause) {
    throw new RewardError(
      `reward ${place}: an answer in JSON is required, got${excerpt(text) || " nothing"}`,
      {
        cause,
      },
    );
  }
  const { rewards, scores = rewards } = (typeof reply === "object" && reply !== null ? reply : {}) as Record<
    string,
    unknown
  >;
  const found = rewards ?? scores;
  if (!Array.isArray(found))
    throw new RewardError(`reward ${place}: {"rewards": [numbers]} is required, got${excerpt(text)}`);
  const flat = found.map((value: unknown) => (Array.isArray(value) && value.length === 1 ? value[0] : value));
  checkScores(flat, batch, place);
  return flat as number[];
}

/** "fetch failed" has the reason in its cause. */
function reasonOf(error: unknown): string {
  const { message, cause } = error as { message?: string; cause?: { message?: string; code?: string } };
  return cause?.message || cause?.code || message || String(error);
}

function excerpt(text: string): string {
  const line = text.replace(/\s+/g, " ").trim();
  return line === "" ? "" : `: ${line.length > 120 ? `${line.slice(0, 120)}…` : line}`;
}

const pause = (seconds: number, signal: AbortSignal | undefined): Promise<void> =>
  new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, seconds * 1000);
    signal?.addEventListener("abort", stop, { once: true });
  });
