import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { build } from "esbuild";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { moduleReward, openReward, type RewardInput } from "./index.ts";

// below the repository, so that the packages are found
mkdirSync(".cache", { recursive: true });
const dir = mkdtempSync(".cache/reward-module-");
afterAll(() => rmSync(dir, { recursive: true, force: true }));
const write = (name: string, source: string): string => {
  writeFileSync(join(dir, name), source);
  return name;
};

const batch: RewardInput[] = [{ prompt: "Hi", completion: "abc" }];

write("words.mts", `export const lengthOf = (text: string): number => text.length;\n`);
const typed = write(
  "mine.ts",
  `import { lengthOf } from "./words.mts";
import type { Reward } from "attune/reward";

interface Options { readonly scale: number }
const options = { scale: 2 } satisfies Options;

export const brevity: Reward = (batch) => batch.map(({ completion }) => -lengthOf(completion!));
const reward: Reward = async (batch) => batch.map(({ completion }): number => options.scale * lengthOf(completion));
export default reward;
`,
);

describe("a reward in a module", () => {
  it("is its default export, the one called reward, or the one that is named", async () => {
    const opened = await openReward(`./${typed}`, { baseDir: dir });
    expect(await opened.score(batch)).toEqual([6]);
    expect(opened.name).toBe("./mine.ts");
    expect(await (await openReward(`./${typed}#brevity`, { baseDir: dir })).score(batch)).toEqual([-3]);
    const named = write("named.mjs", "export const reward = (batch) => batch.map(() => 7);\n");
    expect(await (await openReward({ module: named }, { baseDir: dir })).score(batch)).toEqual([7]);
  });

  it("is refused when there is no file, no function, or no sense", async () => {
    await expect(moduleReward("./gone.ts", undefined, dir)).rejects.toThrow(
      /reward \.\/gone\.ts: no such file/,
    );
    await expect(moduleReward(typed, "brevty", dir)).rejects.toThrow(
      /an exported function brevty is required, it exports brevity, default; name one: mine\.ts#brevity/,
    );
    const other = write("other.mjs", "export const score = () => [1];\n");
    await expect(moduleReward(other, undefined, dir)).rejects.toThrow(
      /default export, .*it exports score; .*other\.mjs#score/,
    );
    const empty = write("empty.mjs", "export const one = 1;\n");
    await expect(moduleReward(empty, undefined, dir)).rejects.toThrow(/there is none$/);
    const broken = write("broken.mjs", "export const one = ;\n");
    await expect(moduleReward(broken, undefined, dir)).rejects.toThrow(
      /broken\.mjs: the module cannot be loaded/,
    );
    const throwing = write("throwing.mjs", "throw new Error('no key');\n");
    await expect(moduleReward(throwing, undefined, dir)).rejects.toThrow(/cannot be loaded: no key/);
  });
});

/** A process as a user has it: no test runner and no loader of ours around. */
describe("TypeScript in a plain process of this version of Node", () => {
  beforeAll(() =>
    build({
      entryPoints: ["src/reward/node-module.ts", "src/reward/node-type-hooks.ts"],
      bundle: true,
      platform: "node",
      format: "esm",
      packages: "external",
      outdir: join(dir, "built"),
      logLevel: "silent",
    }),
  );
  const run = (path: string): { stdout: string; stderr: string } => {
    const program = `import { moduleReward } from ${JSON.stringify(resolve(dir, "built/node-module.js"))};
      try { console.log(JSON.stringify(await (await moduleReward(${JSON.stringify(resolve(dir, path))}))([{ prompt: "", completion: "abcd" }]))); }
      catch (error) { console.log(error.message); }`;
    const env = { ...process.env, NODE_OPTIONS: "" };
    return spawnSync(process.execPath, ["--input-type=module", "-e", program], { encoding: "utf8", env });
  };

  it("is read with its types erased, and so are the modules that it imports", () => {
    expect(run(typed)).toMatchObject({ stdout: "[8]\n" });
  });

  it("is refused with file and line when it cannot be read", () => {
    const bad = write("bad.ts", "const a: number = 1;\nexport default (batch: => [a];\n");
    expect(run(bad).stdout).toMatch(/bad\.ts: the module cannot be loaded: /);
    const fancy = write("fancy.ts", "enum Kind { a }\nexport default () => [Kind.a];\n");
    expect(run(fancy).stdout).toMatch(/enum/);
  });
});
