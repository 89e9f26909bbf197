/** Uploads a model folder to the Hugging Face hub (Node): makes the repository where it is missing, one commit. */
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { HubApiError } from "@huggingface/hub";
import { folderOfModel } from "../models/folder.ts";
import { RunError } from "./errors.ts";

export interface PushOptions {
  /** `owner/name`. */
  readonly repo: string;
  /** A new repository is private. Default: true; making it public is a decision of its own. */
  readonly private?: boolean;
  readonly message?: string;
  /** Default: HF_TOKEN. */
  readonly token?: string;
  /** Default: HF_ENDPOINT, or https://huggingface.co. */
  readonly endpoint?: string;
  readonly signal?: AbortSignal;
}

export interface Pushed {
  readonly url: string;
  readonly commit: string;
  readonly files: readonly string[];
}

/**
 * Where a push would go and with which token, before anybody waits for a model.
 *
 * @throws RunError when the repository has no proper name, or there is no token
 */
export function checkPush({ repo, endpoint, token }: Pick<PushOptions, "repo" | "endpoint" | "token">) {
  const { env } = process;
  const hubUrl = (endpoint ?? env.HF_ENDPOINT ?? "https://huggingface.co").replace(/\/+$/, "");
  const accessToken = token ?? env.HF_TOKEN;
  if (!/^[\w-][\w.-]*\/[\w.-]+$/.test(repo))
    throw new RunError(`push to hub: a repository is named owner/name, got ${repo}`);
  if (!accessToken)
    throw new RunError(
      `push to hub: a token that may write is required: set HF_TOKEN (${hubUrl}/settings/tokens)`,
    );
  if (!accessToken.startsWith("hf_"))
    throw new RunError("HF_TOKEN: a Hugging Face token starts with hf_, got something else: correct it");
  return { hubUrl, accessToken };
}

/**
 * Uploads the model in `dir`, or that of the run in `dir`.
 *
 * @throws RunError when there is no token, no model, or the hub refuses; nothing is half there, a commit is whole
 */
export async function pushToHub(dir: string, options: PushOptions): Promise<Pushed> {
  const { repo, message = "Upload a model trained with Attune", signal } = options;
  const { hubUrl, accessToken } = checkPush(options);
  const folder = await folderOfModel(dir);
  const files = await filesOf(folder);
  if (!files.some((file) => /^(adapter_)?config\.json$/.test(file)))
    throw new RunError(`${dir}: a model folder is required, or that of a run which has ended`);

  const { createRepo, uploadFiles } = await import("@huggingface/hub");
  const access = {
    repo: { type: "model", name: repo } as const,
    accessToken,
    hubUrl,
    fetch: ((input, init) => fetch(input, { ...init, signal: signal ?? init?.signal })) as typeof fetch,
  };
  try {
    await createRepo({ ...access, visibility: (options.private ?? true) ? "private" : "public" }).catch(
      ignoreExisting,
    );
    const output = await uploadFiles({
      ...access,
      files: files.map((path) => ({ path, content: pathToFileURL(join(folder, path)) })),
      commitTitle: message,
      ...(signal && { abortSignal: signal }),
    });
    return { url: `${hubUrl}/${repo}`, commit: output?.commit.oid ?? "", files };
  } catch (error) {
    throw readable(error, repo, hubUrl, signal);
  }
}

/** Files of a model folder, without hidden ones. */
async function filesOf(folder: string): Promise<string[]> {
  const names = await readdir(folder, { recursive: true }).catch((): string[] => []);
  const visible = names.filter((name) => !name.split(/[\\/]/).some((part) => part.startsWith(".")));
  const kinds = await Promise.all(visible.map(async (name) => (await stat(join(folder, name))).isFile()));
  return visible
    .filter((_, i) => kinds[i])
    .map((name) => name.replaceAll("\\", "/"))
    .sort();
}

function ignoreExisting(error: HubApiError): void {
  if (error.statusCode !== 409) throw error;
}

const advice: Readonly<Record<number, string>> = {
  401: "the token is not valid: make one that may write, and set HF_TOKEN",
  403: "the token may not write there: check its permissions and the owner's name",
  404: "there is no such owner or repository",
  413: "a file is larger than the hub takes",
  429: "the hub asks to slow down: wait and run again",
};

function readable(error: unknown, repo: string, hubUrl: string, signal?: AbortSignal): unknown {
  if (error instanceof RunError || signal?.aborted) return error;
  const { statusCode, cause, message } = Object(error) as HubApiError & { cause?: NodeJS.ErrnoException };
  const reason =
    statusCode === undefined
      ? `${hubUrl} cannot be reached (${cause?.code ?? cause?.message ?? message}): check the connection`
      : `${advice[statusCode] ?? "the hub failed: run again later"} (${hubUrl} answered ${statusCode})`;
  return new RunError(`push to ${repo}: ${reason}; the model is unharmed on this machine`, { cause: error });
}
