/**
 * JSON to a server, and its answer, as remote rewards and judges need it. What may pass by itself (no connection, no
 * answer in time, 408, 429, 5xx) is tried again, after 1, 2, 4, ... seconds at most; another status ends at once.
 */
import { RewardError } from "./reward.ts";

/** How the outside is reached; tests pass their own. */
export interface RemoteParts {
  readonly fetch?: typeof fetch;
  readonly sleep?: (seconds: number, signal: AbortSignal | undefined) => Promise<void>;
  readonly signal?: AbortSignal | undefined;
  /** Told, in a sentence, that the server is asked again. */
  readonly onRetry?: ((text: string) => void) | undefined;
}

export interface PostOptions {
  /** For messages: "reward http://...". */
  readonly what: string;
  /** Seconds that an answer may take. */
  readonly timeout: number;
  /** Tries after the first one. */
  readonly retries: number;
  /** Seconds before the second try; each later one waits twice as long, at most 30 s. */
  readonly backoff: number;
  readonly headers: Readonly<Record<string, string>>;
  /** What no message may show. */
  readonly secrets?: readonly string[];
}

/** A failure that a later try may not meet. */
class Passing extends Error {}

/**
 * The text of the answer.
 *
 * @throws RewardError when the server stays down or refuses; AbortError of the signal
 */
export async function postJson(
  url: string,
  body: unknown,
  options: PostOptions,
  parts: RemoteParts = {},
): Promise<string> {
  const { what, retries, backoff } = options;
  const { sleep = pause, signal, onRetry } = parts;
  for (let tries = 0; ; tries++)
    try {
      return await once(url, body, options, parts);
    } catch (error) {
      if (!(error instanceof Passing)) throw error;
      if (tries >= retries)
        throw new RewardError(
          `${what}: no answer after ${tries + 1} ${tries === 0 ? "try" : "tries"} (${error.message}); is the server up, and the address right?`,
          { cause: error },
        );
      const wait = Math.min(30, backoff * 2 ** tries);
      onRetry?.(`${what}: ${error.message}; asked again in ${wait} s, ${tries + 1} of ${retries} times`);
      await sleep(wait, signal);
    }
}

async function once(
  url: string,
  body: unknown,
  { what, timeout, headers, secrets = [] }: PostOptions,
  { fetch: send = fetch, signal }: RemoteParts,
): Promise<string> {
  const limit = AbortSignal.timeout(timeout * 1000);
  const shown = (text: string) => secrets.reduce((out, secret) => out.replaceAll(secret, "***"), text);
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
    throw new Passing(limit.aborted ? `nothing came within ${timeout} s` : shown(reasonOf(error)), {
      cause: error,
    });
  }
  if (status === 408 || status === 429 || status >= 500)
    throw new Passing(`status ${status}${shown(excerpt(text))}`);
  if (status < 200 || status > 299)
    throw new RewardError(`${what}: refused with status ${status}${shown(excerpt(text))}`);
  return text;
}

/** The address without what may be secret in it. */
export function placeOf(url: string): string {
  const { origin, pathname } = new URL(url);
  return `${origin}${pathname}`;
}

/** How a text begins, for a message. */
export function excerpt(text: string): string {
  const line = text.replace(/\s+/g, " ").trim();
  return line === "" ? "" : `: ${line.length > 120 ? `${line.slice(0, 120)}…` : line}`;
}

/** "fetch failed" has the reason in its cause. */
function reasonOf(error: unknown): string {
  const { message, cause } = error as { message?: string; cause?: { message?: string; code?: string } };
  return cause?.message || cause?.code || message || String(error);
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
