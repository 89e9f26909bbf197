/**
 * A language model behind an OpenAI-compatible chat endpoint:
 *
 *     POST URL/chat/completions {"model": ..., "messages": [{"role": "user", "content": question}], ...}
 *     200  {"choices": [{"message": {"content": "A"}}]}
 *
 * The key stands in an environment variable; no message shows it.
 */
import { z } from "zod";
import { excerpt, placeOf, postJson, type RemoteParts } from "../post.ts";
import { RewardError } from "../reward.ts";
import { number } from "../rules/rule.ts";
import type { Asked } from "./language-judge.ts";

export const chatOptions = z.strictObject({
  /** The model's name, as the endpoint calls it. */
  model: z.string().min(1),
  /** The environment variable that holds the key. */
  key_env: z.string().default("OPENAI_API_KEY"),
  /** Tokens of a reply. */
  max_tokens: number().default(16),
  /** Of the first try; further ones are drawn at 1. */
  temperature: number().default(0),
  /** Seconds that an answer may take. */
  timeout: number().default(60),
  /** Tries after the first one when the endpoint is down or busy. */
  http_retries: number().default(4),
  /** Seconds before the second of these. */
  backoff: number().default(1),
});

export type ChatOptions = z.input<typeof chatOptions>;

const reply = z.object({
  choices: z.array(z.object({ message: z.object({ content: z.string().nullish() }) })).min(1),
});

/**
 * What such an endpoint replies.
 *
 * @param url with or without /chat/completions
 * @throws RewardError from the reply, when the endpoint stays down, refuses, or answers in another format
 */
export function chatEndpoint(
  url: string,
  options: ChatOptions,
  parts: RemoteParts & { readonly env?: Readonly<Record<string, string | undefined>> } = {},
): Asked & { readonly reply: unknown } {
  const o = chatOptions.parse(options);
  const base = new URL(url);
  base.hash = "";
  base.pathname = `${base.pathname.replace(/\/(?:chat\/completions)?\/*$/, "")}/chat/completions`;
  const what = `judge ${placeOf(base.href)}`;
  const key = (parts.env ?? process.env)[o.key_env];
  return {
    async reply(question, { attempt, signal }) {
      const text = await postJson(
        base.href,
        {
          model: o.model,
          messages: [{ role: "user", content: question }],
          max_tokens: o.max_tokens,
          temperature: attempt === 0 ? o.temperature : 1,
        },
        {
          what,
          timeout: o.timeout,
          retries: o.http_retries,
          backoff: o.backoff,
          headers: key ? { authorization: `Bearer ${key}` } : {},
          ...(key && { secrets: [key] }),
        },
        { ...parts, signal: signal ?? parts.signal },
      );
      return contentOf(text, what);
    },
  };
}

function contentOf(text: string, what: string): string {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new RewardError(`${what}: an answer in JSON is required, got${excerpt(text) || " nothing"}`, {
      cause,
    });
  }
  const { success, data } = reply.safeParse(value);
  if (!success)
    throw new RewardError(
      `${what}: {"choices": [{"message": {"content": text}}]} is required, got${excerpt(text)}`,
    );
  return data.choices[0]?.message.content ?? "";
}
