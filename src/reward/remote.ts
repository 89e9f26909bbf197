/**
 * A reward that a server gives, in OpenRLHF's format:
 *
 *     POST {"query": ["prompt and response", ...], "prompts": ["prompt", ...], "labels": [...]}
 *     200  {"rewards": [0.3, ...]}        (also under "scores"; a list of lists of one number is read too)
 *
 * What may pass by itself is tried again (post.ts); an answer that is no scores ends at once.
 */
import { z } from "zod";
import { excerpt, placeOf, postJson, type RemoteParts } from "./post.ts";
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

/**
 * @throws RewardError from the reward, when the server stays down or answers with something else than scores
 */
export function remoteReward(url: string, options: RemoteOptions = {}, parts: RemoteParts = {}): Reward {
  const { batch_size: most, label, ...request } = remoteOptions.parse(options);
  const place = placeOf(url);
  const ask = async (batch: readonly RewardInput[]): Promise<readonly number[]> => {
    const body = {
      query: batch.map(({ prompt, completion }) => prompt + completion),
      prompts: batch.map(({ prompt }) => prompt),
      labels: batch.map(({ row }) => row?.[label] ?? null),
    };
    return scoresIn(await postJson(url, body, { ...request, what: `reward ${place}` }, parts), place, batch);
  };
  return async (batch) => {
    const size = most ?? batch.length;
    const scores: number[] = [];
    for (let from = 0; from < batch.length; from += size)
      scores.push(...(await ask(batch.slice(from, from + size))));
    return scores;
  };
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
