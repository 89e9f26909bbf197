/**
 * A small run in a process of its own, which somebody kills: `node --import scripts/register-ts.js test/crash.fixture.ts
 * DIR [N]`. It resumes what is there, and with N it kills itself after its N-th change of the file system.
 */
import fs from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { sft } from "../src/train/sft.ts";
import { rows, tinyModel } from "../src/train/tiny.fixture.ts";

const [outputDir, crashAt] = process.argv.slice(2) as [string, string | undefined];

/** Changes of the file system so far; each counts when it is done, so that what follows it is missing. */
let changes = 0;
const count = () => {
  if (++changes === Number(crashAt)) process.kill(process.pid, "SIGKILL");
};

for (const name of ["mkdir", "rename", "rm", "writeFile", "appendFile"] as const) {
  const original = fs[name] as (...args: unknown[]) => Promise<unknown>;
  Object.assign(fs, {
    [name]: async (...args: unknown[]) => {
      const result = await original(...args);
      count();
      return result;
    },
  });
}
const open = fs.open;
Object.assign(fs, {
  async open(...args: Parameters<typeof open>) {
    const file = await open(...args);
    if (args[1] === "r" || args[1] === undefined) return file;
    count();
    const write = file.write.bind(file) as (...args: unknown[]) => Promise<unknown>;
    file.write = (async (...written: unknown[]) => {
      const result = await write(...written);
      count();
      return result;
    }) as typeof file.write;
    return file;
  },
});
syncBuiltinESMExports();

await sft(
  {
    model: tinyModel(),
    data: rows,
    evalData: rows.slice(0, 4),
    outputDir,
    resume: true,
    batchSize: 8,
    maxSteps: 12,
    saveSteps: 1,
    evalSteps: 2,
    learningRate: 3e-3,
    threads: 1,
  },
  { onStep: ({ step }) => console.log(`step ${step}`) },
);
console.log(`changes ${changes}`);
