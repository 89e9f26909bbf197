import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { openReward, RewardError, type RewardInput, remoteReward } from "./index.ts";

type Handler = (
  body: Record<string, unknown[]>,
  response: ServerResponse,
  tries: number,
  request: IncomingMessage,
) => void;

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

/** A server on this machine; `tries` counts its requests from 1. */
async function serve(handler: Handler): Promise<{ url: string; bodies: Record<string, unknown[]>[] }> {
  const bodies: Record<string, unknown[]>[] = [];
  const server = createServer((request, response) => {
    let text = "";
    request.on("data", (piece) => {
      text += piece;
    });
    request.on("end", () => {
      bodies.push(JSON.parse(text));
      handler(bodies.at(-1) as Record<string, unknown[]>, response, bodies.length, request);
    });
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/get_reward`, bodies };
}

const json = (response: ServerResponse, value: unknown, status = 200) => {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
};
const lengths = (body: Record<string, unknown[]>) => body.query?.map((text) => String(text).length);

const batch: RewardInput[] = [
  { prompt: "Two and two is", completion: " four.", row: { label: "4" } },
  { prompt: "Hi", completion: "!" },
];
const waits = () => {
  const seconds: number[] = [];
  return { seconds, sleep: async (s: number) => void seconds.push(s) };
};

describe("a remote reward", () => {
  it("says that it asks again, and when", async () => {
    const { url } = await serve((body, response, tries) =>
      tries < 3 ? json(response, {}, 500) : json(response, { rewards: lengths(body) }),
    );
    const [{ sleep }, told] = [waits(), [] as string[]];
    const place = url.replace(/\?.*/, "");
    await remoteReward(url, { retries: 4 }, { sleep, onRetry: (text) => void told.push(text) })(batch);
    expect(told).toEqual([
      `reward ${place}: status 500: {}; asked again in 1 s, 1 of 4 times`,
      `reward ${place}: status 500: {}; asked again in 2 s, 2 of 4 times`,
    ]);
  });

  it("speaks OpenRLHF's format", async () => {
    const { url, bodies } = await serve((body, response) => json(response, { rewards: lengths(body) }));
    expect(await remoteReward(url)(batch)).toEqual([20, 3]);
    expect(bodies).toEqual([
      { query: ["Two and two is four.", "Hi!"], prompts: ["Two and two is", "Hi"], labels: ["4", null] },
    ]);
  });

  it("reads scores, and lists of one number; sends batches of a size, and headers", async () => {
    const { url, bodies } = await serve((body, response, _, { headers }) => {
      expect(headers.authorization).toBe("Bearer x");
      json(response, { scores: lengths(body)?.map((n) => [n]) });
    });
    const opened = await openReward({ url, batch_size: 1, headers: { authorization: "Bearer x" } });
    expect(await opened.score(batch)).toEqual([20, 3]);
    expect(bodies.length).toBe(2);
  });

  it("tries again after 500, 503, 429 and a broken connection, waiting twice as long each time", async () => {
    const { url } = await serve((body, response, tries) => {
      if (tries === 2) response.destroy();
      else if (tries < 5) json(response, { error: "busy" }, { 1: 500, 3: 503, 4: 429 }[tries]);
      else json(response, { rewards: lengths(body) });
    });
    const { seconds, sleep } = waits();
    expect(await remoteReward(url, { backoff: 0.5 }, { sleep })(batch)).toEqual([20, 3]);
    expect(seconds).toEqual([0.5, 1, 2, 4]);
  });

  it("tries again when nothing comes in time", async () => {
    const { url, bodies } = await serve((body, response, tries) => {
      if (tries > 1) json(response, { rewards: lengths(body) });
    });
    const { sleep } = waits();
    expect(await remoteReward(url, { timeout: 0.2 }, { sleep })(batch)).toEqual([20, 3]);
    expect(bodies.length).toBe(2);
  });

  it("says that the server is down once the tries are used up", async () => {
    const { url } = await serve((_, response) => json(response, { error: "out of memory" }, 500));
    const { seconds, sleep } = waits();
    const failing = remoteReward(url, { retries: 2 }, { sleep })(batch);
    await expect(failing).rejects.toThrow(
      /no answer after 3 tries \(status 500: {"error":"out of memory"}\); is the server up/,
    );
    await expect(failing).rejects.toBeInstanceOf(RewardError);
    expect(seconds).toEqual([1, 2]);
    const gone = remoteReward("http://127.0.0.1:9/", { retries: 0 })(batch);
    await expect(gone).rejects.toThrow(/no answer after 1 try/);
  });

  it("does not ask again when the answer is wrong", async () => {
    const answers: [unknown, RegExp][] = [
      [{ rewards: [1] }, /one score for each of 2 rows is required, got 1/],
      [{ rewards: [1, null] }, /a finite number is required, got null for row 2/],
      [{ reward: [1, 2] }, /{"rewards": \[numbers\]} is required, got: {"reward":\[1,2\]}/],
      ["text", /is required, got: "text"/],
    ];
    for (const [answer, message] of answers) {
      const { url, bodies } = await serve((_, response) => json(response, answer));
      await expect(remoteReward(url)(batch)).rejects.toThrow(message);
      expect(bodies.length).toBe(1);
    }
    const { url } = await serve((_, response) => response.end("{rewards: [NaN"));
    await expect(remoteReward(url)(batch)).rejects.toThrow(
      /an answer in JSON is required, got: {rewards: \[NaN/,
    );
    const missing = await serve((_, response) => json(response, {}, 404));
    await expect(remoteReward(missing.url)(batch)).rejects.toThrow(/refused with status 404/);
  });

  it("keeps what may be secret in its address out of messages", async () => {
    const { url } = await serve((_, response) => json(response, {}, 403));
    const refused = remoteReward(`${url}?key=s3cret`)(batch);
    await expect(refused).rejects.toThrow(`reward ${url}: refused with status 403`);
    await expect(refused).rejects.not.toThrow(/s3cret/);
  });

  it("stops waiting when it is told to", async () => {
    const { url } = await serve((_, response) => json(response, {}, 503));
    const stop = new AbortController();
    const scores = remoteReward(url, { backoff: 60 }, { signal: stop.signal })(batch);
    setTimeout(() => stop.abort(new DOMException("stop", "AbortError")), 50);
    await expect(scores).rejects.toThrow("stop");
  });
});
