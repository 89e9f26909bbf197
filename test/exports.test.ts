/** What `import ... from "attune"` and its subpaths find. */
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";

const { exports } = JSON.parse(readFileSync("package.json", "utf8")) as { exports: Record<string, unknown> };

it("the package's own name is an error that names rooms, and those are there", async () => {
  const error = await import("../src/index.ts").catch((cause: unknown) => cause);
  expect(error).toBeInstanceOf(Error);
  const named = [...(error as Error).message.matchAll(/"attune(\/[a-z/]+)"/g)].map(([, path]) => `.${path}`);
  expect(named.length).toBeGreaterThan(3);
  expect(Object.keys(exports)).toEqual(expect.arrayContaining([".", ...named]));
});
