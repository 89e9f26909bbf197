import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DataError } from "../errors.ts";
import type { Columns, RowKind } from "../rows.ts";
import { detectFormat, formatNamed, formatNames, formats, type Purpose, readRow } from "./index.ts";
import { assistant, samples, user } from "./samples.fixture.ts";

const everything: Purpose = { name: "rows", kinds: [...new Set(formats.map(({ kind }) => kind))] };
const read = (row: unknown, chat = false, purpose: Purpose = everything) => readRow(row, purpose, { chat });

describe("the table of formats", () => {
  it("has a row here and in docs/data.md for each", () => {
    expect(samples.map(([name]) => name).sort()).toEqual([...formatNames].sort());
    const documented = readFileSync(new URL("../../../docs/data.md", import.meta.url), "utf8");
    for (const name of formatNames) expect(documented).toContain(`| \`${name}\` |`);
  });

  it.each(samples)("%s is recognised by its columns and read", (name, row, expected) => {
    expect(detectFormat(row)?.name).toBe(name);
    expect(read(row).row).toMatchObject(expected);
    expect(readRow(row, everything, { chat: false, format: formatNamed(name) }).row).toEqual(read(row).row);
  });

  it.each(samples)("%s gives all messages or all strings, whatever the model reads", (_, row) => {
    for (const chat of [false, true]) {
      const { row: found } = read(row, chat);
      const texts = ["prompt", "chosen", "rejected", "completion"]
        .map((name) => (found as unknown as Columns)[name])
        .concat(found.kind === "ranking" ? found.completions : [])
        .filter((text) => text !== undefined);
      expect(new Set(texts.map((text) => typeof text)).size).toBeLessThanOrEqual(1);
    }
  });

  it("never fails otherwise than with a DataError of ours", () => {
    const anything = fc.oneof(
      fc.jsonValue(),
      fc.string(),
      fc.constantFrom<unknown>([], {}, null, "", [user("q")]),
    );
    fc.assert(
      fc.property(
        fc.constantFrom(...samples),
        fc.dictionary(fc.nat(8).map(String), anything),
        fc.boolean(),
        (sample, junk, chat) => {
          const [name, row] = sample;
          const columns = Object.keys(row);
          const spoilt = {
            ...row,
            ...Object.fromEntries(
              Object.entries(junk).map(([i, v]) => [columns[Number(i) % columns.length], v]),
            ),
          };
          try {
            readRow(spoilt, everything, { chat, format: formatNamed(name) });
          } catch (error) {
            expect(error).toBeInstanceOf(DataError);
            expect((error as Error).message).not.toMatch(/undefined|Invalid|expected/);
          }
        },
      ),
      { numRuns: 400 },
    );
  });
});

describe("what a model with a chat template reads", () => {
  it("HH's dialogues are its turns", () => {
    const turns = "\n\nHuman: a\n\nAssistant: b\n\nHuman: c\n\nAssistant:";
    expect(read({ chosen: `${turns} yes`, rejected: `${turns} no` }, true).row).toMatchObject({
      prompt: [user("a"), assistant("b"), user("c")],
      chosen: [assistant("yes")],
      rejected: [assistant("no")],
    });
  });

  it("an instruction with its input is what the user says", () => {
    expect(read({ instruction: "Say it.", input: "it", output: "it" }, true).row).toMatchObject({
      prompt: [user("Say it.\n\nit")],
      completion: [assistant("it")],
    });
  });

  it("tool calls, their results and the tools come as templates expect them", () => {
    const { row } = read({
      conversations: [
        { from: "human", value: "weather?" },
        { from: "function_call", value: '{"name": "weather", "arguments": {"city": "Oslo"}}' },
        { from: "observation", value: '{"sun": true}' },
        { from: "gpt", value: "Sun." },
      ],
      tools: '[{"name": "weather", "parameters": {}}]',
    });
    expect(row).toMatchObject({
      messages: [
        user("weather?"),
        {
          role: "assistant",
          content: "",
          tool_calls: [{ type: "function", function: { name: "weather", arguments: { city: "Oslo" } } }],
        },
        { role: "tool", content: '{"sun": true}' },
        assistant("Sun."),
      ],
      tools: [{ type: "function", function: { name: "weather" } }],
    });
  });

  it("messages without content are fine beside tool calls, and parts of text are joined", () => {
    const calls = [{ type: "function", function: { name: "f", arguments: {} } }];
    const { row } = read({
      messages: [
        {
          role: "user",
          content: [
            { type: "text", text: "a" },
            { type: "text", text: "b" },
          ],
        },
        { role: "assistant", content: null, tool_calls: calls },
      ],
    });
    expect(row).toMatchObject({ messages: [user("ab"), { content: "", tool_calls: calls }] });
    expect(() => read({ messages: [{ role: "assistant", content: null }] })).toThrow(
      "messages[0].content: a string is required, got null",
    );
  });

  it("responses that repeat the prompt's messages lose them, and a string beside messages becomes one", () => {
    const row = { prompt: "q", chosen: [user("q"), assistant("a")], rejected: [user("q"), assistant("b")] };
    expect(read(row).row).toMatchObject({
      prompt: [user("q")],
      chosen: [assistant("a")],
      rejected: [assistant("b")],
    });
    expect(read({ prompt: [user("q")], completion: "a" }).row).toMatchObject({
      completion: [assistant("a")],
    });
    const implicit = { chosen: row.chosen, rejected: row.rejected };
    expect(read(implicit).row).toMatchObject({ prompt: [user("q")], chosen: [assistant("a")] });
  });
});

describe("rows that cannot be used are refused in words of ours", () => {
  const preferences: Purpose = { name: "preferences", kinds: ["preference", "ranking", "rating"] };
  const texts: Purpose = { name: "texts", kinds: ["completion", "messages", "text"], ignores: ["rating"] };
  const hh = (prompt: string, answer: string) => `\n\nHuman: ${prompt}\n\nAssistant: ${answer}`;

  it.each<[string, Columns, Purpose<RowKind>, RegExp]>([
    [
      "a missing column, with those found",
      { prompt: "p", chosen: "a" },
      preferences,
      /^the column rejected is missing \(preference needs prompt, chosen, rejected\), got prompt, chosen$/,
    ],
    [
      "another kind of rows",
      { prompt: "p", completion: "a" },
      preferences,
      /^these columns are of the format prompt-completion \(prompt, completion\), preferences are made of .*chosen and rejected/,
    ],
    [
      "labelled rows for a language model",
      { prompt: "p", completion: "a", label: false },
      texts,
      /of the format label/,
    ],
    [
      "nothing known",
      { foo: 1 },
      texts,
      /^the columns prompt and completion, or messages, or text are required, got foo$/,
    ],
    [
      "a string for messages",
      { messages: "hi" },
      texts,
      /^messages: a list of messages is required, got "hi"$/,
    ],
    [
      "a message without a role",
      { messages: [{ content: "hi" }] },
      texts,
      /^messages\[0\]\.role: a string is required, got nothing$/,
    ],
    ["a number for text", { prompt: 7, completion: "a" }, texts, /^prompt: a string is required, got 7$/],
    ["an empty response", { prompt: "p", chosen: " ", rejected: "b" }, preferences, /^chosen: is empty$/],
    [
      "an empty response after the dialogue",
      { chosen: hh("a", ""), rejected: hh("a", "b") },
      preferences,
      /^chosen: is empty$/,
    ],
    [
      "dialogues whose prompts differ",
      { chosen: hh("a", "x"), rejected: hh("b", "x") },
      preferences,
      /^the prompts of chosen and rejected differ$/,
    ],
    [
      "a dialogue that ends with a question",
      { chosen: `${hh("a", "x")}\n\nHuman: b`, rejected: hh("a", "x") },
      preferences,
      /does not end with a turn of the Assistant/,
    ],
    [
      "messages whose prompts differ",
      { chosen: [user("a"), assistant("x")], rejected: [user("b"), assistant("x")] },
      preferences,
      /^the prompts of chosen and rejected differ$/,
    ],
    [
      "responses of another prompt",
      { prompt: [user("a")], chosen: [user("b"), assistant("x")], rejected: [assistant("y")] },
      preferences,
      /^the prompts differ/,
    ],
    [
      "a preference that is neither",
      { prompt: "p", response_1: "a", response_2: "b", preference: 2 },
      preferences,
      /^preference: 1 \(the first is better\).*got 2$/,
    ],
    [
      "too few ranks",
      { prompt: "p", completions: ["a", "b"], ranks: [1] },
      preferences,
      /^ranks: one for each of the 2 completions is required, got 1$/,
    ],
    [
      "an order that repeats",
      { prompt: "p", completions: ["a", "b"], order: [0, 0] },
      preferences,
      /^order: each number from 0 to 1 is required once/,
    ],
    [
      "an unknown speaker",
      { conversations: [{ from: "narrator", value: "x" }] },
      texts,
      /^conversations\[0\]\.from: one of human, .* is required, got "narrator"$/,
    ],
  ])("%s", (_, row, purpose, message) => {
    expect(() => read(row, false, purpose)).toThrow(message);
  });

  it("a value that is no object says what it is; an unknown format says which is near", () => {
    expect(() => read("text")).toThrow('a row must be a JSON object, got "text"');
    expect(() => formatNamed("hhh")).toThrow("format hhh is unknown; did you mean hh?");
  });
});
