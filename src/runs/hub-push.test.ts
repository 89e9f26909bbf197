import { createHash } from "node:crypto";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { RunError } from "./errors.ts";
import { pushToHub } from "./hub-push.ts";

const weights = Buffer.alloc(100_000, 7);

/** What the imitated hub was asked for, and how it behaves. */
interface Hub {
  status?: number;
  /** The repository is there already. */
  exists?: boolean;
  readonly requests: string[];
  readonly tokens: Set<string | undefined>;
  readonly created: Record<string, unknown>[];
  readonly blobs: Map<string, Buffer>;
  /** Lines of the commits. */
  readonly commits: { key: string; value: Record<string, string> }[][];
}

const bodyOf = async (request: IncomingMessage): Promise<Buffer> => {
  const pieces: Buffer[] = [];
  for await (const piece of request) pieces.push(piece as Buffer);
  return Buffer.concat(pieces);
};

/** The endpoints that an upload touches: create, preupload, large files, commit. */
function serve(hub: Hub): Server {
  return createServer(async (request, response) => {
    const path = (request.url as string).split("?")[0] as string;
    hub.requests.push(`${request.method} ${path}`);
    if (!path.startsWith("/blobs/")) hub.tokens.add(request.headers.authorization);
    const body = await bodyOf(request);
    const json = (status: number, value: unknown) =>
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
    if (hub.status !== undefined) return json(hub.status, { error: "no" });
    if (path === "/api/repos/create") {
      if (hub.exists) return json(409, { error: "You already created this model repo" });
      hub.created.push(JSON.parse(body.toString()));
      return json(200, { url: "u", id: "me/model" });
    }
    if (path === "/api/models/me/model/preupload/main") {
      const { files } = JSON.parse(body.toString()) as { files: { path: string }[] };
      const mode = (name: string) => (name.endsWith(".safetensors") ? "lfs" : "regular");
      return json(200, { files: files.map((file) => ({ path: file.path, uploadMode: mode(file.path) })) });
    }
    if (path === "/me/model.git/info/lfs/objects/batch") {
      const { objects } = JSON.parse(body.toString()) as { objects: { oid: string; size: number }[] };
      const href = (oid: string) => `http://${request.headers.host}/blobs/${oid}`;
      return json(200, {
        transfer: "basic",
        objects: objects.map(({ oid, size }) => ({ oid, size, actions: { upload: { href: href(oid) } } })),
      });
    }
    if (path.startsWith("/blobs/")) {
      hub.blobs.set(path.slice(7), body);
      return json(200, {});
    }
    if (path === "/api/models/me/model/commit/main") {
      hub.commits.push(
        body
          .toString()
          .split("\n")
          .filter((line) => line !== "")
          .map((line) => JSON.parse(line)),
      );
      return json(200, { success: true, commitOid: "abc", commitUrl: "c", hookOutput: "" });
    }
    json(404, { error: `no ${path}` });
  });
}

let hub: Hub;
let server: Server;
let dir: string;
let options: { repo: string; endpoint: string; token: string };
beforeEach(async () => {
  hub = { requests: [], tokens: new Set(), created: [], blobs: new Map(), commits: [] };
  server = serve(hub);
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  options = {
    repo: "me/model",
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    token: "hf_secret",
  };
  for (const name of ["HF_TOKEN", "HF_ENDPOINT"]) vi.stubEnv(name, undefined);
  dir = await mkdtemp(join(tmpdir(), "attune-push-"));
  await mkdir(join(dir, "model"));
  for (const [name, content] of Object.entries({
    "config.json": "{}",
    "README.md": "# card",
    "model.safetensors": weights,
    ".hidden": "no",
  }))
    await writeFile(join(dir, "model", name), content);
});
afterEach(async () => {
  vi.unstubAllEnvs();
  server.closeAllConnections();
  server.close();
  await rm(dir, { recursive: true, force: true });
});

describe("pushToHub", () => {
  it("makes a private repository and commits the run's model in one go, large files by their hash", async () => {
    const { url, commit, files } = await pushToHub(dir, options);
    expect([url, commit]).toEqual([`${options.endpoint}/me/model`, "abc"]);
    expect(files).toEqual(["README.md", "config.json", "model.safetensors"]);
    expect(hub.created).toEqual([
      expect.objectContaining({ name: "model", organization: "me", type: "model", visibility: "private" }),
    ]);
    const oid = createHash("sha256").update(weights).digest("hex");
    expect(hub.blobs.get(oid)?.equals(weights)).toBe(true);
    expect(hub.commits).toHaveLength(1);
    const committed = Object.fromEntries(
      (hub.commits[0] ?? []).map(({ key, value }) => [value.path ?? key, value]),
    );
    expect(committed["model.safetensors"]).toMatchObject({ algo: "sha256", oid });
    expect(Buffer.from(committed["README.md"]?.content ?? "", "base64").toString()).toBe("# card");
    expect(committed.header?.summary).toBe("Upload a model trained with Attune");
    expect([...hub.tokens]).toEqual(["Bearer hf_secret"]);
  });

  it("goes on into a repository that is there, with the settings of the environment", async () => {
    hub.exists = true;
    vi.stubEnv("HF_TOKEN", options.token);
    vi.stubEnv("HF_ENDPOINT", `${options.endpoint}/`);
    expect((await pushToHub(join(dir, "model"), { repo: "me/model" })).commit).toBe("abc");
  });

  it.each([
    [401, /token is not valid.*HF_TOKEN/],
    [403, /may not write there/],
    [503, /run again later .*answered 503/],
  ])("of a hub that answers %i is one line that says what to do", async (status, message) => {
    hub.status = status;
    const attempt = pushToHub(dir, options);
    await expect(attempt).rejects.toThrow(message);
    await expect(attempt).rejects.toThrow(
      /^push to me\/model: [^\n]*; the model is unharmed on this machine$/,
    );
  });

  it("asks nobody without a token, a name, or a model", async () => {
    await expect(pushToHub(dir, { ...options, token: "" })).rejects.toThrow(/set HF_TOKEN/);
    await expect(pushToHub(dir, { ...options, token: "abc" })).rejects.toThrow(/starts with hf_/);
    await expect(pushToHub(dir, { ...options, repo: "model" })).rejects.toThrow(/owner\/name, got model/);
    await rm(join(dir, "model"), { recursive: true });
    await expect(pushToHub(dir, options)).rejects.toThrow(RunError);
    expect(hub.requests).toEqual([]);
  });

  it("to a hub that cannot be reached says so", async () => {
    const attempt = pushToHub(dir, { ...options, endpoint: "http://127.0.0.1:9" });
    await expect(attempt).rejects.toThrow(/127\.0\.0\.1:9 cannot be reached .*check the connection/);
  });
});
