/**
 * Model names to folders (Node): a folder stays as it is, `org/name[@revision]` is downloaded from the Hugging Face hub.
 * Data sets come the same way (see src/data/node-hub-data.ts).
 *
 * Only what Attune reads is fetched: of a model JSON, chat template and safetensors. The cache has the layout of huggingface_hub
 * (blobs, refs, snapshots of symbolic links), so Python and Attune share downloads. Files are streamed to the disk and
 * checked against their size and, where the hub knows it, their SHA-256. The package's own snapshotDownload takes every
 * file of a repository and prints to standard output, hence its parts are put together here.
 */
import { createHash } from "node:crypto";
import { copyFile, mkdir, open, readFile, rename, rm, stat, symlink, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import type { HubApiError, ListFileEntry } from "@huggingface/hub";
import { AttuneError } from "../../graph/errors.ts";
import { CheckpointError } from "../errors.ts";

export interface DownloadProgress {
  readonly file: string;
  /** Bytes of all files together. */
  readonly received: number;
  readonly total: number;
}

export interface ResolveModelOptions {
  /** A branch, tag or commit; the name's own `@revision` wins. */
  readonly revision?: string;
  /** Only look into the cache. Default: HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE. */
  readonly offline?: boolean;
  /** Default: HF_HUB_CACHE, or `hub` in HF_HOME, or ~/.cache/huggingface/hub. */
  readonly cacheDir?: string;
  /** Default: HF_ENDPOINT, or https://huggingface.co. */
  readonly endpoint?: string;
  /** For private and gated models. Default: HF_TOKEN. */
  readonly token?: string;
  readonly onProgress?: (progress: DownloadProgress) => void;
  readonly signal?: AbortSignal;
}

/** A kind of repository on the hub: what of it is wanted, and how it is spoken of. */
export interface RepositoryKind {
  readonly type: "model" | "dataset";
  /** For messages: "model". */
  readonly called: string;
  /** @throws AttuneError when there is nothing that can be used */
  wanted(entries: readonly ListFileEntry[], id: string): readonly ListFileEntry[];
  /** What a cached snapshot still lacks. */
  missing(snapshot: string): Promise<string[]>;
}

const model: RepositoryKind = { type: "model", called: "model", wanted: wantedFiles, missing: missingFiles };

const isOn = (value: string | undefined): boolean => /^(1|on|yes|true)$/i.test(value ?? "");
const isFolder = (path: string): Promise<boolean> =>
  stat(path).then(
    (s) => s.isDirectory(),
    () => false,
  );
const isThere = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );

/**
 * The folder of the model `name`; an existing folder is preferred to a hub id of the same name.
 * Throws `CheckpointError` for a name that is neither, a model without safetensors, a failed download, and, offline,
 * a model that is not (completely) in the cache.
 */
export async function resolveModel(name: string, options: ResolveModelOptions = {}): Promise<string> {
  if (await isFolder(name)) return name;
  const match = /^(\w[\w.-]*(?:\/[\w.-]+)?)(?:@([\w./-]+))?$/.exec(name);
  if (match === null)
    throw new CheckpointError(
      `${name}: no such folder, and not a name on the Hugging Face hub (org/name[@revision])`,
    );
  const [, id = "", inName] = match;
  return resolveRepository(model, id, { ...options, ...(inName !== undefined && { revision: inName }) });
}

/** The folder of a repository's snapshot in the cache, with what is wanted of it. */
export async function resolveRepository(
  kind: RepositoryKind,
  id: string,
  options: ResolveModelOptions = {},
): Promise<string> {
  const { revision = "main" } = options;
  if (revision.split("/").includes(".."))
    throw new CheckpointError(`${id}: ${revision} is not a branch, tag or commit`);
  const { env } = process;
  // Not imported above: whoever names a folder does not wait for it.
  const { getHFHubCachePath } = await import("@huggingface/hub");
  const offline = options.offline ?? (isOn(env.HF_HUB_OFFLINE) || isOn(env.TRANSFORMERS_OFFLINE));
  const storage = join(options.cacheDir ?? getHFHubCachePath(), `${kind.type}s--${id.replaceAll("/", "--")}`);
  if (offline) return fromCache(kind, storage, id, revision);

  const endpoint = (options.endpoint ?? env.HF_ENDPOINT ?? "https://huggingface.co").replace(/\/+$/, "");
  const token = options.token ?? env.HF_TOKEN;
  if (token && !token.startsWith("hf_"))
    throw new CheckpointError(
      "HF_TOKEN: a Hugging Face token starts with hf_, got something else: correct or unset it",
    );
  try {
    return await download(kind, storage, { ...options, id, revision, endpoint, token: token || undefined });
  } catch (error) {
    throw readable(error, { kind, id, revision, endpoint, signal: options.signal });
  }
}

async function fromCache(
  kind: RepositoryKind,
  storage: string,
  id: string,
  revision: string,
): Promise<string> {
  const sha = await readFile(join(storage, "refs", revision), "utf8").then(
    (text) => text.trim(),
    () => revision,
  );
  const snapshot = join(storage, "snapshots", sha);
  if (!(await isFolder(snapshot)))
    throw new CheckpointError(
      `${id}@${revision} is not in the cache (${storage}) and downloads are off: run once without HF_HUB_OFFLINE`,
    );
  const missing = await kind.missing(snapshot);
  if (missing.length > 0)
    throw new CheckpointError(
      `${id}@${revision} is incomplete in the cache, ${missing.join(", ")} missing: run once without HF_HUB_OFFLINE`,
    );
  return snapshot;
}

/** What a cached snapshot still lacks to be read as a model or an adapter. */
async function missingFiles(snapshot: string): Promise<string[]> {
  const absent = async (names: string[]) => {
    const there = await Promise.all(names.map((name) => isThere(join(snapshot, name))));
    return names.filter((_, i) => !there[i]);
  };
  if (await isThere(join(snapshot, "adapter_config.json"))) return absent(["adapter_model.safetensors"]);
  const index = await readFile(join(snapshot, "model.safetensors.index.json"), "utf8").catch(() => undefined);
  if (index === undefined || (await isThere(join(snapshot, "model.safetensors"))))
    return absent(["config.json", "model.safetensors"]);
  const { weight_map: map = {} } = JSON.parse(index) as { weight_map?: Record<string, string> };
  return absent(["config.json", ...new Set(Object.values(map))]);
}

interface Remote extends ResolveModelOptions {
  readonly id: string;
  readonly revision: string;
  readonly endpoint: string;
}

async function download(kind: RepositoryKind, storage: string, remote: Remote): Promise<string> {
  const { id, revision, endpoint, token: accessToken, signal } = remote;
  const request: typeof fetch = (input, init) => fetch(input, { ...init, signal });
  const hub = { hubUrl: endpoint, accessToken, fetch: request };
  const { datasetInfo, listFiles, modelInfo } = await import("@huggingface/hub");
  const asked = { name: id, revision, additionalFields: ["sha" as const], ...hub };
  const { sha } = kind.type === "model" ? await modelInfo(asked) : await datasetInfo(asked);
  const repo = { type: kind.type, name: id };
  const entries: ListFileEntry[] = [];
  for await (const entry of listFiles({ repo, revision: sha, recursive: kind.type === "dataset", ...hub }))
    entries.push(entry);
  const wanted = kind.wanted(entries, id);

  const snapshot = join(storage, "snapshots", sha);
  await mkdir(snapshot, { recursive: true });
  await mkdir(join(storage, "blobs"), { recursive: true });
  const total = wanted.reduce((sum, { size }) => sum + size, 0);
  let received = 0;
  for (const entry of wanted) {
    const pointer = join(snapshot, entry.path);
    const report = (bytes: number) =>
      remote.onProgress?.({ file: entry.path, received: received + bytes, total });
    if (!(await isThere(pointer))) {
      const blob = join(storage, "blobs", entry.lfs?.oid ?? entry.xetHash ?? (entry.oid as string));
      if (!(await isThere(blob))) await downloadBlob(blob, entry, { ...hub, repo, sha, signal }, report);
      await link(blob, pointer);
    }
    received += entry.size;
    report(0);
  }
  // Last, so that a reference always points at a complete snapshot.
  if (revision !== sha) {
    const reference = join(storage, "refs", revision);
    await mkdir(dirname(reference), { recursive: true });
    await writeFile(reference, sha);
  }
  return snapshot;
}

/** JSON, chat template, and one set of safetensors: model or shards, and an adapter's. */
function wantedFiles(entries: readonly ListFileEntry[], id: string): ListFileEntry[] {
  const files = entries.filter(({ type, path }) => type === "file" && /^[\w][\w.-]*$/.test(path));
  const isWhole = files.some(({ path }) => path === "model.safetensors");
  const weights = files.filter(({ path }) =>
    isWhole ? path === "model.safetensors" : /^model-\d+-of-\d+\.safetensors$/.test(path),
  );
  const adapters = files.filter(({ path }) => path === "adapter_model.safetensors");
  if (weights.length + adapters.length === 0) {
    const pickled = files.find(({ path }) => /\.(bin|pt|pth|ckpt)$/.test(path));
    throw new CheckpointError(
      pickled === undefined
        ? `${id}: the repository has no model.safetensors: it is not a model that Attune reads`
        : `${id}: the weights are only in ${pickled.path}, a Python pickle, which can run code when it is opened: ` +
            "choose a model or revision with safetensors, or convert it with transformers' save_pretrained",
    );
  }
  return [...files.filter(({ path }) => /\.(json|jinja)$/.test(path)), ...adapters, ...weights];
}

/** A connection that breaks is taken up where it broke, until it brings nothing this often in a row. */
const maxStalls = 3;

async function downloadBlob(
  blob: string,
  entry: ListFileEntry,
  hub: {
    hubUrl: string;
    accessToken?: string;
    fetch: typeof fetch;
    repo: { type: "model" | "dataset"; name: string };
    sha: string;
    signal?: AbortSignal;
  },
  report: (bytes: number) => void,
): Promise<void> {
  const { repo, sha, signal, ...access } = hub;
  const { name: id } = repo;
  const { downloadFile } = await import("@huggingface/hub");
  const body = await downloadFile({
    repo,
    path: entry.path,
    revision: sha,
    ...access,
  });
  if (body === null) throw new CheckpointError(`${id}: ${entry.path} is listed but cannot be downloaded`);
  const incomplete = `${blob}.${process.pid}.incomplete`;
  const file = await open(incomplete, "w");
  try {
    const hash = createHash("sha256");
    let received = 0;
    for (let stalls = 0; received < entry.size && stalls < maxStalls; ) {
      const before = received;
      try {
        const rest = received > 0 ? body.slice(received) : body;
        for await (const piece of rest.stream() as unknown as AsyncIterable<Uint8Array>) {
          await writeFile(file, piece);
          hash.update(piece);
          received += piece.length;
          report(received);
        }
      } catch (error) {
        if (signal?.aborted || (error as NodeJS.ErrnoException).code === "ENOSPC") throw error;
      }
      stalls = received > before ? 0 : stalls + 1;
      if (stalls > 0) await new Promise((done) => setTimeout(done, 200 * stalls));
    }
    if (received !== entry.size)
      throw new CheckpointError(
        `${id}: ${entry.path} ended after ${received} of ${entry.size} bytes: the connection broke, run again`,
      );
    const digest = hash.digest("hex");
    if (entry.lfs && digest !== entry.lfs.oid)
      throw new CheckpointError(
        `${id}: ${entry.path} has SHA-256 ${digest}, the hub says ${entry.lfs.oid}: run again`,
      );
    await file.sync();
    await file.close();
    await rename(incomplete, blob);
  } catch (error) {
    await file.close().catch(() => {});
    await rm(incomplete, { force: true });
    throw error;
  }
}

/** Links a snapshot's file to its blob; copies where links are not allowed (Windows). */
async function link(blob: string, pointer: string): Promise<void> {
  await mkdir(dirname(pointer), { recursive: true });
  await rm(pointer, { force: true });
  await symlink(relative(dirname(pointer), blob), pointer).catch(() => copyFile(blob, pointer));
}

/** One line for whatever went wrong between here and the hub. */
function readable(
  error: unknown,
  {
    kind: { called },
    id,
    revision,
    endpoint,
    signal,
  }: { kind: RepositoryKind; id: string; revision: string; endpoint: string; signal?: AbortSignal },
): unknown {
  if (error instanceof AttuneError || signal?.aborted) return error;
  if (error instanceof Error && "statusCode" in error) {
    const { statusCode } = error as HubApiError;
    const advice: Record<number, string> = {
      401: "it does not exist, or it is private or gated: check the name, and set HF_TOKEN if you have access",
      403: "access is not granted: accept its terms on the hub and set HF_TOKEN",
      404: `there is no ${called === "model" ? "folder" : "file"} or hub ${called} of this name and revision`,
      429: "the hub asks to slow down: wait and run again",
    };
    const what = advice[statusCode] ?? "the hub failed: run again later";
    return new CheckpointError(`${id}@${revision}: ${what} (${endpoint} answered ${statusCode})`, {
      cause: error,
    });
  }
  const { code, path, message, cause } = Object(error) as NodeJS.ErrnoException & {
    cause?: NodeJS.ErrnoException;
  };
  if (path !== undefined || code === "ENOSPC") {
    const reason = code === "ENOSPC" ? "the disk is full" : message;
    return new CheckpointError(`${id}@${revision}: the cache cannot be written: ${reason}`, { cause: error });
  }
  // fetch fails with a TypeError and the reason in its cause; the hub package passes some errors on as mere text.
  if (!(error instanceof TypeError) && typeof error !== "string" && code === undefined) return error;
  const reason = cause?.code ?? cause?.message ?? message ?? String(error);
  return new CheckpointError(
    `${id}@${revision}: no such ${called === "model" ? "folder" : "file"} here, and ${endpoint} cannot be reached (${reason}): check the name and the connection, or set HF_HUB_OFFLINE=1 with a cached ${called}`,
    { cause: error },
  );
}
