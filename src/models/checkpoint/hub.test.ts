import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { CheckpointError } from "../errors.ts";
import { resolveModel } from "./hub.ts";

const sha = "0123456789abcdef0123456789abcdef01234567";
const weights = Buffer.alloc(3_000_000, 7);

/** What the imitated hub holds and how it behaves. */
interface Hub {
  files: Record<string, Buffer>;
  /** Answer every request with this status. */
  status?: number;
  /** Break the connection this often in the middle of the weights, or, if forever, before they begin. */
  breaks: number;
  /** Send other bytes than the listed SHA-256 promises. */
  corrupt?: boolean;
  requests: string[];
  tokens: Set<string | undefined>;
}

/** The three endpoints of the hub that a download touches: revision, tree, resolve. */
function serve(hub: Hub): Server {
  return createServer((request, response) => {
    const path = decodeURIComponent((request.url as string).split("?")[0] as string);
    hub.requests.push(`${request.method} ${path}`);
    hub.tokens.add(request.headers.authorization);
    const json = (status: number, value: unknown) =>
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
    if (hub.status !== undefined) return json(hub.status, { error: "no" });
    if (path === "/api/models/org/model/revision/main" || path === "/api/models/org/model/revision/v1/x")
      return json(200, { _id: "1", id: "org/model", sha, lastModified: "2024-01-01" });
    if (path === `/api/models/org/model/tree/${sha}`) {
      const entries = Object.entries(hub.files).map(([name, data], i) => ({
        type: "file",
        path: name,
        size: data.length,
        oid: `git${i}`,
        ...(name.endsWith(".safetensors") && {
          lfs: { oid: createHash("sha256").update(data).digest("hex"), size: data.length, pointerSize: 130 },
        }),
      }));
      return json(200, [{ type: "directory", path: "onnx", size: 0, oid: "dir" }, ...entries]);
    }
    const prefix = `/org/model/resolve/${sha}/`;
    const data = path.startsWith(prefix) ? hub.files[path.slice(prefix.length)] : undefined;
    if (data === undefined) return json(404, { error: "Repository not found" });
    const range = /bytes=(\d+)-(\d+)?/.exec(request.headers.range ?? "");
    const [from, to] = [
      Number(range?.[1] ?? 0),
      Math.min(Number(range?.[2] ?? data.length), data.length - 1),
    ];
    const body = Buffer.from(data.subarray(from, to + 1));
    if (hub.corrupt && body.length > 0) body[0] = (body[0] as number) ^ 1;
    response.writeHead(range ? 206 : 200, {
      etag: '"e"',
      "content-length": body.length,
      "content-range": `bytes ${from}-${to}/${data.length}`,
    });
    if (hub.breaks > 0 && body.length > 9e5) {
      hub.breaks--;
      const sent = body.subarray(0, Number.isFinite(hub.breaks) ? 5e5 : 0);
      return response.write(sent, () => setTimeout(() => response.destroy(), 20));
    }
    response.end(body);
  });
}

let hub: Hub;
let server: Server;
let endpoint: string;
let root: string;
let options: { cacheDir: string; endpoint: string };

beforeEach(async () => {
  hub = {
    files: {
      "config.json": Buffer.from("{}"),
      "tokenizer.json": Buffer.from('{"a": 1}'),
      "chat_template.jinja": Buffer.from("x"),
      "model.safetensors": weights,
      "pytorch_model.bin": Buffer.from("pickle"),
      "consolidated.safetensors": Buffer.from("twice"),
      "README.md": Buffer.from("hello"),
    },
    breaks: 0,
    requests: [],
    tokens: new Set(),
  };
  server = serve(hub);
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  root = await mkdtemp(join(tmpdir(), "attune-hub-"));
  options = { cacheDir: join(root, "cache"), endpoint };
  for (const name of ["HF_TOKEN", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_ENDPOINT", "HF_HUB_CACHE"])
    vi.stubEnv(name, undefined);
});
afterEach(async () => {
  vi.unstubAllEnvs();
  server.closeAllConnections();
  server.close();
  await rm(root, { recursive: true, force: true });
});

describe("resolveModel", () => {
  it("leaves a folder as it is, without a request", async () => {
    expect(await resolveModel(root, options)).toBe(root);
    expect(hub.requests).toEqual([]);
  });

  it("downloads JSON, template and safetensors into the layout of huggingface_hub", async () => {
    const progress: { file: string; received: number; total: number }[] = [];
    const log = vi.spyOn(console, "debug");
    const folder = await resolveModel("org/model", { ...options, onProgress: (p) => progress.push(p) });
    expect(folder).toBe(join(options.cacheDir, "models--org--model", "snapshots", sha));
    expect((await readdir(folder)).sort()).toEqual([
      "chat_template.jinja",
      "config.json",
      "model.safetensors",
      "tokenizer.json",
    ]);
    expect((await readFile(join(folder, "model.safetensors"))).equals(weights)).toBe(true);
    expect(await readFile(join(options.cacheDir, "models--org--model", "refs", "main"), "utf8")).toBe(sha);
    expect(await readdir(join(options.cacheDir, "models--org--model", "blobs"))).toHaveLength(4);
    expect(progress.at(-1)).toMatchObject({ received: progress.at(-1)?.total });
    expect(log).not.toHaveBeenCalled();
  });

  it("asks the hub only for the revision when everything is cached", async () => {
    await resolveModel("org/model", options);
    hub.requests.length = 0;
    await resolveModel("org/model", options);
    expect(hub.requests.filter((request) => request.includes("resolve"))).toEqual([]);
  });

  it("takes a revision with the name, and the settings of the environment", async () => {
    vi.stubEnv("HF_ENDPOINT", endpoint);
    vi.stubEnv("HF_HOME", join(root, "home"));
    vi.stubEnv("HF_TOKEN", "hf_secret");
    const folder = await resolveModel("org/model@v1/x");
    expect(folder).toBe(join(root, "home", "hub", "models--org--model", "snapshots", sha));
    expect(await readFile(join(folder, "..", "..", "refs", "v1", "x"), "utf8")).toBe(sha);
    expect([...hub.tokens]).toEqual(["Bearer hf_secret"]);
  });

  it("goes on where a connection broke", async () => {
    hub.breaks = 4;
    const folder = await resolveModel("org/model", options);
    expect((await readFile(join(folder, "model.safetensors"))).equals(weights)).toBe(true);
    expect(hub.breaks).toBe(0);
  });

  it("works from the cache alone when offline", async () => {
    const offline = { ...options, offline: true };
    await expect(resolveModel("org/model", offline)).rejects.toThrow(
      /not in the cache .*run once without HF_HUB_OFFLINE/,
    );
    const folder = await resolveModel("org/model", options);
    hub.requests.length = 0;
    expect(await resolveModel("org/model", offline)).toBe(folder);
    expect(await resolveModel(`org/model@${sha}`, offline)).toBe(folder);
    vi.stubEnv("HF_HUB_OFFLINE", "1");
    expect(await resolveModel("org/model", options)).toBe(folder);
    expect(hub.requests).toEqual([]);
    await rm(join(folder, "model.safetensors"));
    await expect(resolveModel("org/model", offline)).rejects.toThrow(
      /incomplete in the cache, model.safetensors missing/,
    );
  });
});

describe("resolveModel refuses", () => {
  const refused = async (message: RegExp, name = "org/model") => {
    const attempt = resolveModel(name, options);
    await expect(attempt).rejects.toThrow(message);
    await expect(attempt).rejects.toThrow(CheckpointError);
    await expect(attempt).rejects.toThrow(/^[^\n]*$/);
  };

  it("a repository with pickled weights only, before downloading anything", async () => {
    delete hub.files["model.safetensors"];
    await refused(/only in pytorch_model.bin, a Python pickle/);
    expect(hub.requests.filter((request) => request.includes("resolve"))).toEqual([]);
  });

  it.each([
    [401, /private or gated: .*HF_TOKEN/],
    [403, /accept its terms/],
    [429, /slow down/],
    [503, /run again later .*answered 503/],
  ])("status %i with the reason", async (status, message) => {
    hub.status = status;
    await refused(message);
  });

  it("a name that is neither a folder nor on the hub", async () => {
    await refused(/no folder or hub model of this name .*answered 404/, "org/nothing");
    await refused(/no such folder, and not a name/, "./not/there");
    await refused(/not a branch, tag or commit/, "org/model@../../x");
  });

  it("a hub that cannot be reached, in one line", async () => {
    options.endpoint = "http://127.0.0.1:1";
    await refused(/no such folder here, and .* cannot be reached \(.*\): check the name and the connection/);
  });

  it("a token that is none", async () => {
    vi.stubEnv("HF_TOKEN", "secret");
    await refused(/starts with hf_/);
  });

  it("bytes that are not what the hub promised, and keeps none of them", async () => {
    hub.corrupt = true;
    hub.files = { "model.safetensors": weights };
    await refused(/has SHA-256/);
    expect(await readdir(join(options.cacheDir, "models--org--model", "blobs"))).toEqual([]);
  });

  it("a file that never arrives whole, and a cancelled download", async () => {
    hub.breaks = Infinity;
    await refused(/model.safetensors ended after 0 of 3000000 bytes/);
    const signal = AbortSignal.abort(new Error("stopped by hand"));
    await expect(resolveModel("org/model", { ...options, signal })).rejects.toThrow("stopped by hand");
  });
});

it("a folder in the way of a hub id wins", async () => {
  await mkdir(join(root, "org", "model"), { recursive: true });
  await writeFile(join(root, "org", "model", "config.json"), "{}");
  expect(await resolveModel(join(root, "org", "model"), options)).toBe(join(root, "org", "model"));
});
