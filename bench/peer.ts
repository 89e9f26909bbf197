/**
 * A contestant's process: it says once what it is, then answers one JSON line for each JSON line that it is sent.
 *
 *     <- {"ready": "torch 2.13.0", "commands": ["train_step"]}
 *     -> {"id": 1, "command": "train_step", ...}
 *     <- {"id": 1, "result": {"seconds": 0.06, "peak_rss": 538034176}}      or {"id": 1, "error": "..."}
 *
 * Attune itself is one of them (`attune.ts`), so that all are measured alike.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";

export type Answer = Readonly<Record<string, number | readonly number[]>>;
export type Commands = Readonly<Record<string, (request: never) => Promise<Answer> | Answer>>;

interface Message {
  readonly id?: number;
  readonly ready?: string;
  readonly commands?: readonly string[];
  readonly result?: Answer;
  readonly error?: string;
}

interface Waiting {
  readonly resolve: (message: Message) => void;
  readonly reject: (error: Error) => void;
}

export class Peer {
  /** The name and versions that the process gave of itself. */
  ready = "";
  commands: readonly string[] = [];
  private readonly child: ChildProcess;
  private readonly waiting = new Map<number, Waiting>();
  private lastWords = "";
  private nextId = 1;

  private constructor(child: ChildProcess) {
    this.child = child;
    child.stderr?.on("data", (chunk) => {
      this.lastWords = (this.lastWords + chunk).slice(-2000);
    });
    createInterface({ input: child.stdout as NodeJS.ReadableStream }).on("line", (line) => this.hear(line));
    child.stdin?.on("error", () => {}); // a broken pipe shows as the end of the process
    const fail = (reason: string) => {
      for (const { reject } of this.waiting.values())
        reject(new Error(`${reason}\n${this.lastWords}`.trim()));
      this.waiting.clear();
    };
    child.on("error", (error) => fail(error.message));
    child.on("close", (code, signal) => fail(`the process ended (${signal ?? `exit code ${code}`})`));
  }

  /** Starts a process and waits until it is ready; throws with the end of its standard error when it fails. */
  static async start(command: string, args: readonly string[], threads: number): Promise<Peer> {
    const env = { ...process.env, ATTUNE_BENCH_THREADS: String(threads) };
    const peer = new Peer(spawn(command, args, { env, stdio: ["pipe", "pipe", "pipe"] }));
    const { ready, commands } = await peer.answer(0);
    peer.ready = ready ?? "";
    peer.commands = commands ?? [];
    return peer;
  }

  /** Asks for one measurement; throws what the process reports. */
  async request(command: string, parameters: Readonly<Record<string, unknown>>): Promise<Answer> {
    const id = this.nextId++;
    const answer = this.answer(id);
    this.child.stdin?.write(`${JSON.stringify({ id, command, ...parameters })}\n`);
    const { result, error } = await answer;
    if (result === undefined) throw new Error(`${this.ready}: ${command}: ${error}`);
    return result;
  }

  /** Ends the process and waits for it, so that its memory is free. */
  async close(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const ended = new Promise((resolve) => this.child.once("close", resolve));
    this.child.stdin?.end();
    const timer = setTimeout(() => this.child.kill("SIGKILL"), 5000);
    await ended;
    clearTimeout(timer);
  }

  private answer(id: number): Promise<Message> {
    return new Promise((resolve, reject) => this.waiting.set(id, { resolve, reject }));
  }

  private hear(line: string) {
    const message = JSON.parse(line) as Message;
    const id = message.id ?? 0;
    this.waiting.get(id)?.resolve(message);
    this.waiting.delete(id);
  }
}
