/** A hub on this machine that takes uploads, for tests. */
import { createServer, type IncomingMessage, type Server } from "node:http";

/** What the imitated hub was asked for, and how it behaves. */
export interface Hub {
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

export const newHub = (): Hub => ({
  requests: [],
  tokens: new Set(),
  created: [],
  blobs: new Map(),
  commits: [],
});

/** The endpoints that an upload touches: create, preupload, large files, commit. */
export function serve(hub: Hub, repo = "me/model"): Server {
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
      return json(200, { url: "u", id: repo });
    }
    if (path === `/api/models/${repo}/preupload/main`) {
      const { files } = JSON.parse(body.toString()) as { files: { path: string }[] };
      const mode = (name: string) => (name.endsWith(".safetensors") ? "lfs" : "regular");
      return json(200, { files: files.map((file) => ({ path: file.path, uploadMode: mode(file.path) })) });
    }
    if (path === `/${repo}.git/info/lfs/objects/batch`) {
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
    if (path === `/api/models/${repo}/commit/main`) {
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
