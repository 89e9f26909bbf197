/** A process with small commands, for the tests of the frame: `node --import register-ts.js main.fixture.ts ...`. */
import type { Command } from "commander";
import { AttuneError } from "../graph/errors.ts";
import { type Implementation, lazily } from "./command.ts";
import { UsageError } from "./failure.ts";
import { main } from "./main.ts";
import { positiveInteger } from "./options.ts";

const implementations: Record<string, Implementation<{ count?: number }>> = {
  hello: (context, { count = 1 }, name) => {
    console.log("a library speaks");
    context.note("a note");
    context.result(
      { name, count, nan: Number.NaN, big: 7n, list: new Float32Array([1, 2]) },
      `hello ${name}`,
    );
  },
  fails: () => {
    throw new AttuneError("fails: a model folder is required, got nothing; name one with --model");
  },
  misused: () => {
    throw new UsageError("misused: give either --model or --data");
  },
  absent: async () => {
    const { readFile } = await import("node:fs/promises");
    await readFile("no-such-file.txt");
  },
  endless: async ({ signal, note }) => {
    const alive = setInterval(() => {}, 1_000);
    note("ready");
    await new Promise((resolve) => signal.addEventListener("abort", resolve));
    clearInterval(alive);
    note("checkpoint written");
  },
  deaf: async ({ note }) => {
    setInterval(() => {}, 1_000);
    note("ready");
    await new Promise(() => {});
  },
  waits: () => new Promise(() => {}),
  strays: async ({ signal, note }) => {
    const alive = setInterval(() => {}, 1_000);
    setTimeout(() => {
      throw new Error("a timer of yours");
    }, 20);
    await new Promise((resolve) => signal.addEventListener("abort", resolve));
    clearInterval(alive);
    note("checkpoint written");
  },
  leaves: async () => {
    setTimeout(() => process.exit(0), 20);
    await new Promise((resolve) => setTimeout(resolve, 10_000));
  },
  talks: async ({ signal, write, note }) => {
    while (!signal.aborted) {
      write(`${"word ".repeat(2_000)}\n`);
      await new Promise((resolve) => setImmediate(resolve));
    }
    note("stopped talking");
  },
};

const registrations = Object.entries(implementations).map(([name, implementation]) => (program: Command) => {
  program
    .command(name)
    .argument("[name]")
    .option("--count <n>", "how often", positiveInteger)
    .action(lazily(async () => implementation));
});

await main(process.argv.slice(2), registrations);
