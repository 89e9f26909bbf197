import { describe, expect, it } from "vitest";
import { Peer } from "./peer.ts";

const script = (body: string) =>
  Peer.start(process.execPath, ["-e", `const say = (m) => console.log(JSON.stringify(m));${body}`], 1);

const echo = `
  say({ ready: "echo", commands: ["double"] });
  require("node:readline").createInterface({ input: process.stdin }).on("line", (line) => {
    const { id, command, x } = JSON.parse(line);
    if (command === "die") throw new Error("gone");
    say(command === "double" ? { id, result: { value: 2 * x } } : { id, error: "no such command" });
  });`;

describe("Peer", () => {
  it("answers commands, reports errors, and says how it ended", async () => {
    const peer = await script(echo);
    expect(peer.commands).toEqual(["double"]);
    expect(await peer.request("double", { x: 21 })).toEqual({ value: 42 });
    await expect(peer.request("halve", {})).rejects.toThrow("no such command");
    await expect(peer.request("die", {})).rejects.toThrow("gone");
    await peer.close();
  });

  it("fails to start with the end of its standard error", async () => {
    await expect(script(`throw new Error("no such package")`)).rejects.toThrow("no such package");
  });
});
