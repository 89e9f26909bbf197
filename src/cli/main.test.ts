import { type ChildProcess, execFile, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const loader = new URL("../../scripts/register-ts.js", import.meta.url).href; // --import takes no C:\\ path
const nodeArgs = ["--import", loader, fileURLToPath(new URL("./main.fixture.ts", import.meta.url))];

interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Runs the fixture's command line to its end. */
const run = (...args: string[]): Promise<Ended> =>
  new Promise((resolve) => {
    const child = execFile(process.execPath, [...nodeArgs, ...args], (_error, stdout, stderr) =>
      resolve({ code: child.exitCode, stdout, stderr }),
    );
  });

const untilSaid = (child: ChildProcess, text: string): Promise<void> =>
  new Promise((resolve) => {
    let said = "";
    child.stderr?.on("data", (chunk) => {
      said += chunk;
      if (said.includes(text)) resolve();
    });
  });

const ended = (child: ChildProcess): Promise<number | null> =>
  new Promise((resolve) => child.on("close", (code) => resolve(code)));

describe("exit codes", () => {
  it("success is 0, and so are --help and --version, on standard output", async () => {
    const [hello, help, version] = await Promise.all([run("hello", "you"), run("--help"), run("--version")]);
    expect(hello).toMatchObject({ code: 0, stdout: "hello you\n" });
    expect(help).toMatchObject({ code: 0, stderr: "" });
    expect(help.stdout).toContain("Usage: attune");
    expect(version).toMatchObject({ code: 0, stderr: "" });
    expect(version.stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });

  it("a failure is 1 with one message and no stack, --debug adds the stack", async () => {
    const [plain, debug] = await Promise.all([run("fails"), run("fails", "--debug")]);
    expect(plain.code).toBe(1);
    expect(plain.stdout).toBe("");
    expect(plain.stderr).toBe(
      "error: fails: a model folder is required, got nothing; name one with --model\n",
    );
    expect(debug.code).toBe(1);
    expect(debug.stderr).toMatch(/\n {4}at .*main\.fixture\.ts/);
  });

  it("a file that does not exist is named", async () => {
    expect(await run("absent")).toMatchObject({
      code: 1,
      stderr: "error: no-such-file.txt: no such file or folder\n",
    });
  });

  it("wrong usage is 2: no command, an unknown one, a bad value, options that exclude each other", async () => {
    const cases = [[], ["helo"], ["hello", "--count", "0"], ["hello", "--provider", "tpu"], ["misused"]];
    const codes = await Promise.all(cases.map(async (args) => (await run(...args)).code));
    expect(codes).toEqual([2, 2, 2, 2, 2]);
  });

  it("an unknown option or command brings the nearest known one", async () => {
    const [option, command, value] = await Promise.all([
      run("hello", "--cont", "3"),
      run("endles"),
      run("hello", "--count", "many"),
    ]);
    expect(option.stderr).toContain("unknown option '--cont'\n(Did you mean --count?)");
    expect(command.stderr).toContain("unknown command 'endles'\n(Did you mean endless?)");
    expect(value.stderr).toContain("A whole number of at least 1 is required");
    expect([option.code, command.code, value.code]).toEqual([2, 2, 2]);
  });
});

describe("--json", () => {
  it("standard output is one JSON value and nothing else, wherever the option stands", async () => {
    for (const { stdout, stderr } of await Promise.all([
      run("--json", "hello", "you"),
      run("hello", "you", "--json"),
    ])) {
      expect(JSON.parse(stdout)).toEqual({ name: "you", count: 1, nan: null, big: 7, list: [1, 2] });
      expect(stderr).toBe("a library speaks\na note\n");
    }
  });

  it("--quiet drops the notes", async () => {
    const { stderr } = await run("hello", "--json", "--quiet");
    expect(stderr).toBe("a library speaks\n");
  });
});

describe("functions of the user's that misbehave", () => {
  it("a promise that never settles is told, and is a failure", async () => {
    expect(await run("waits")).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^error: the command waits for a promise that will never settle.*\n$/),
    });
  });

  it("what is thrown in a timer stops the command as Ctrl-C does, in one line, and is a failure", async () => {
    const { code, stderr } = await run("strays");
    expect(code).toBe(1);
    expect(stderr).toBe(
      "checkpoint written\nattune: something threw outside of what the command waits for: Error: a timer of yours; correct the function\n",
    );
  });

  it("process.exit before the command is done is no success", async () => {
    expect(await run("leaves")).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("something called process.exit before the command was done"),
    });
  });
});

// Windows has no signals to send to another process
describe.skipIf(process.platform === "win32")("stopping", () => {
  const start = (command: string) => spawn(process.execPath, [...nodeArgs, command]);

  it("the first Ctrl-C lets the command write its checkpoint, then the exit code is 130", async () => {
    const child = start("endless");
    let said = "";
    child.stderr.on("data", (chunk) => (said += chunk));
    await untilSaid(child, "ready");
    child.kill("SIGINT");
    expect(await ended(child)).toBe(130);
    expect(said).toContain("stopping once the current step is done; Ctrl-C again ends at once");
    expect(said).toContain("checkpoint written\nattune: stopped by Ctrl-C\n");
  });

  it("the second Ctrl-C ends a command that does not listen", async () => {
    const child = start("deaf");
    await untilSaid(child, "ready");
    const asked = untilSaid(child, "stopping");
    child.kill("SIGINT");
    await asked;
    child.kill("SIGINT");
    await ended(child);
    // By the signal, which a shell shows as 130.
    expect([child.exitCode, child.signalCode]).toEqual([null, "SIGINT"]);
  });

  it("a reader that goes away (| head) stops the command without an error", async () => {
    const child = start("talks");
    let said = "";
    child.stderr.on("data", (chunk) => (said += chunk));
    await new Promise((resolve) => child.stdout.once("data", resolve));
    child.stdout.destroy();
    expect(await ended(child)).toBe(0);
    expect(said).toBe("stopped talking\n");
  });
});
