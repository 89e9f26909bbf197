import { createHash } from "node:crypto";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { RunError } from "./errors.ts";
import { type Hub, newHub, serve } from "./hub.fixture.ts";
import { pushToHub } from "./hub-push.ts";

const weights = Buffer.alloc(100_000, 7);

let hub: Hub;
let server: Server;
let dir: string;
let options: { repo: string; endpoint: string; token: string };
beforeEach(async () => {
  hub = newHub();
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
