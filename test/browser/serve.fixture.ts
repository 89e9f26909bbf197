/** A page on loopback with a bundled script, the wasm files of onnxruntime-web and the tiny models, isolated or not. */
import { readFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { extname } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = new URL("../../", import.meta.url);
const folders: Readonly<Record<string, string>> = {
  "/ort/": "node_modules/onnxruntime-web/dist/",
  "/models/": "test/parity/golden/models/",
};
const types: Readonly<Record<string, string>> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".wasm": "application/wasm",
  ".json": "application/json",
};
/** What lets a page have threads. */
const isolation = {
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-embedder-policy": "require-corp",
};

export interface Page {
  readonly url: string;
  close(): Promise<void>;
}

/** Bundles a script and serves it at a free port. */
export async function servePage(script: string, { isolated = true } = {}): Promise<Page> {
  const bundle = await build({
    entryPoints: [fileURLToPath(new URL(script, import.meta.url))],
    bundle: true,
    write: false,
    format: "esm",
    platform: "browser",
    // The runtime then reads its wasm files from where the page says, instead of carrying them inside.
    conditions: ["onnxruntime-web-use-extern-wasm"],
    logLevel: "error",
  });
  const code = bundle.outputFiles[0]?.text ?? "";
  const contents = async (path: string): Promise<string | Uint8Array | undefined> => {
    if (path === "/")
      return '<!doctype html><meta charset="utf-8"><script type="module" src="/script.js"></script>';
    if (path === "/script.js") return code;
    const prefix = Object.keys(folders).find((folder) => path.startsWith(folder));
    const name = prefix && path.slice(prefix.length);
    if (!name || !/^(\w[\w-]*\/)?\w[\w.-]*$/.test(name)) return undefined;
    return readFile(new URL((folders[prefix] as string) + name, root)).catch(() => undefined);
  };
  const server: Server = createServer(async (request, response) => {
    const path = new URL(request.url ?? "/", "http://localhost").pathname;
    const body = await contents(path);
    const type = types[extname(path) || ".html"] ?? "application/octet-stream";
    response.writeHead(body === undefined ? 404 : 200, { "content-type": type, ...(isolated && isolation) });
    response.end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}
