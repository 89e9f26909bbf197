import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { gzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { trainBpe } from "../models/tokenizer/bpe-trainer.ts";
import { createTokenizer } from "../models/tokenizer/tokenizer.ts";
import { datasetFiles, datasetName, filesOfSplit } from "./node-hub-data.ts";
import { loadPreferences } from "./preferences.ts";

const sha = "0123456789abcdef0123456789abcdef01234567";
const pair = (n: number) => `${JSON.stringify({ prompt: "p", chosen: ` a${n}`, rejected: ` b${n}` })}\n`;

let files: Record<string, Buffer>;
let requests: string[];
let server: Server;
let root: string;

/** The three endpoints of the hub that a download touches: revision, tree, resolve. */
function serve(): Server {
  return createServer((request, response) => {
    const [path = "", query = ""] = decodeURIComponent(request.url as string).split("?");
    requests.push(path);
    const json = (status: number, value: unknown) =>
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
    if (/^\/api\/datasets\/org\/pairs\/revision\/(main|v1)$/.test(path))
      return json(200, { _id: "1", id: "org/pairs", sha, lastModified: "2024-01-01" });
    if (path === `/api/datasets/org/pairs/tree/${sha}`) {
      expect(query).toContain("recursive=true");
      return json(
        200,
        Object.entries(files).map(([name, data], i) => ({
          type: "file",
          path: name,
          size: data.length,
          oid: `git${i}`,
        })),
      );
    }
    const prefix = `/datasets/org/pairs/resolve/${sha}/`;
    const data = path.startsWith(prefix) ? files[path.slice(prefix.length)] : undefined;
    if (data === undefined) return json(404, { error: "Repository not found" });
    const from = Number(/bytes=(\d+)-/.exec(request.headers.range ?? "")?.[1] ?? 0);
    const to = request.headers.range?.endsWith("-0") ? 0 : data.length - 1;
    const body = data.subarray(from, to + 1);
    const range = `bytes ${from}-${to}/${data.length}`;
    response.writeHead(206, { etag: '"e"', "content-length": body.length, "content-range": range }).end(body);
  });
}

beforeEach(async () => {
  files = {
    "README.md": Buffer.from("hello"),
    "helpful/train.jsonl.gz": gzipSync(pair(0) + pair(1)),
    "helpful/test.jsonl.gz": gzipSync(pair(2)),
    "harmless/train.jsonl.gz": gzipSync(pair(3)),
  };
  requests = [];
  server = serve();
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  root = await mkdtemp(join(tmpdir(), "attune-hub-data-"));
  vi.stubEnv("HF_ENDPOINT", `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  vi.stubEnv("HF_HUB_CACHE", root);
  for (const name of ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_TOKEN"]) vi.stubEnv(name, "");
});
afterEach(async () => {
  vi.unstubAllEnvs();
  server.closeAllConnections();
  await new Promise((done) => server.close(done));
  await rm(root, { recursive: true, force: true });
});

const snapshot = () => join(root, "datasets--org--pairs", "snapshots", sha);
const found = async (name: string) =>
  (await datasetFiles(datasetName(name) as { id: string })).map((path) => relative(snapshot(), path));

describe("a data set on the hub", () => {
  it("is the files of its train split, or of the split that is named, downloaded once", async () => {
    expect(await found("org/pairs")).toEqual(["harmless/train.jsonl.gz", "helpful/train.jsonl.gz"]);
    expect(await found("org/pairs@v1:test")).toEqual(["helpful/test.jsonl.gz"]);
    expect(await found("org/pairs:helpful/train")).toEqual(["helpful/train.jsonl.gz"]);
    const asked = requests.filter((path) => path.includes("/resolve/")).map((path) => path.split(sha)[1]);
    // of each file its size first, then its bytes
    expect(asked.sort()).toEqual(
      ["harmless/train", "helpful/test", "helpful/train"].flatMap((name) =>
        Array(2).fill(`/${name}.jsonl.gz`),
      ),
    );
    vi.stubEnv("HF_HUB_OFFLINE", "1");
    expect(await found("org/pairs:helpful/train")).toEqual(["helpful/train.jsonl.gz"]);
  });

  it("is read where a file would be, and its rows keep their place", async () => {
    const trained = trainBpe(["p a b"], { vocabSize: 270 });
    const tokenizer = createTokenizer({ tokenizer: trained.tokenizer, config: trained.config });
    const { pairs } = await loadPreferences("org/pairs:helpful/train", tokenizer, { maxLength: 16 });
    expect([...pairs].map(({ texts }) => texts.chosen)).toEqual([" a0", " a1"]);
    expect(pairs.at(1)?.source).toEqual({ file: join(snapshot(), "helpful/train.jsonl.gz"), line: 2 });
  });

  it("that does not exist, or has no such split or no rows, is refused with what there is", async () => {
    await expect(datasetFiles({ id: "org/none" })).rejects.toThrow(
      /org\/none@main: .*no file or hub data set.*404/,
    );
    await expect(found("org/pairs:dev")).rejects.toThrow(
      "org/pairs: no file of the split dev; there are helpful/train.jsonl.gz, helpful/test.jsonl.gz, harmless/train.jsonl.gz",
    );
    files = { "README.md": Buffer.from("hello") };
    await expect(found("org/pairs")).rejects.toThrow(/org\/pairs: the data set has no file that is read/);
    vi.stubEnv("HF_HUB_OFFLINE", "1");
    await expect(found("org/pairs@v2")).rejects.toThrow(/is not in the cache/);
  });
});

it("names are told from files", () => {
  expect(datasetName("org/name@v1:train")).toEqual({ id: "org/name", revision: "v1", split: "train" });
  expect(datasetName("org/name:a/train")).toEqual({ id: "org/name", split: "a/train" });
  for (const path of ["rows.jsonl", "data/rows.jsonl.gz", "./a/b", "a/b/c", "C:\\x\\y", "a/rows.parquet"])
    expect(datasetName(path)).toBeUndefined();
});

it("splits are known by their names in paths, Parquet before other forms", () => {
  const split = (paths: string[], name?: string) => filesOfSplit(paths, "x", name);
  const shards = [
    "data/train-00000-of-00002.parquet",
    "data/train-00001-of-00002.parquet",
    "data/test-00000-of-00001.parquet",
  ];
  expect(split(shards)).toEqual(shards.slice(0, 2));
  expect(split(["train.json", "default/train/0000.parquet", "dataset_infos.json"])).toEqual([
    "default/train/0000.parquet",
  ]);
  expect(split(["all.csv", "config.json", ".hidden.json"])).toEqual(["all.csv"]);
  expect(split(["constraint.jsonl", "x_train.jsonl", "train_prefs-0.parquet"], "train_prefs")).toEqual([
    "train_prefs-0.parquet",
  ]);
});
