/** manifest.json of a checkpoint (Node): size and SHA-256 of each file, to tell a whole checkpoint from a damaged one. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readdir, readFile, stat } from "node:fs/promises";
import { join, relative } from "node:path";
import { z } from "zod";
import { writeText } from "../models/folder-write.ts";

const name = "manifest.json";
const schema = z.object({ files: z.record(z.string(), z.object({ bytes: z.number(), sha256: z.string() })) });

/** Writes the manifest of all files that are in the folder. */
export async function writeManifest(dir: string): Promise<void> {
  const files: z.infer<typeof schema>["files"] = {};
  for (const path of await filesBelow(dir))
    files[relative(dir, path).replaceAll("\\", "/")] = {
      bytes: (await stat(path)).size,
      sha256: await digest(path),
    };
  await writeText(join(dir, name), `${JSON.stringify({ files }, null, 2)}\n`);
}

/** What is wrong with a folder against its manifest, in a phrase; undefined when it is whole. */
export async function readManifest(dir: string): Promise<string | undefined> {
  const text = await readFile(join(dir, name), "utf8").catch(() => undefined);
  if (text === undefined) return `${name} is missing`;
  const manifest = parse(text);
  if (!manifest) return `${name} was cut short`;
  for (const [file, { bytes, sha256 }] of Object.entries(manifest.files)) {
    const path = join(dir, file);
    const size = await stat(path).then(
      (found) => found.size,
      () => undefined,
    );
    if (size === undefined) return `${file} is missing`;
    if (size !== bytes) return `${file} has ${size} bytes instead of ${bytes}`;
    if ((await digest(path)) !== sha256) return `${file} is not what was written`;
  }
  return undefined;
}

function parse(text: string): z.infer<typeof schema> | undefined {
  try {
    return schema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

async function digest(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const piece of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(piece);
  return hash.digest("hex");
}

async function filesBelow(dir: string): Promise<string[]> {
  const entries = await readdir(dir, { withFileTypes: true, recursive: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .sort();
}
