/** One row of each format, and what it says to a model that continues text. */
import { expect } from "vitest";
import type { Columns } from "../rows.ts";

export const user = (content: string) => ({ role: "user", content });
export const assistant = (content: string) => ({ role: "assistant", content });

export const samples: [string, Columns, object][] = [
  [
    "stepwise",
    { prompt: "1+1+1?", completions: ["1+1=2", "2+1=4"], labels: [true, false] },
    { kind: "steps", completions: ["1+1=2", "2+1=4"], labels: [true, false] },
  ],
  [
    "ranking",
    { prompt: "p", completions: [" a", " b", " c"], ranks: [2, 1, 2] },
    { kind: "ranking", ranks: [2, 1, 2] },
  ],
  [
    "ranking-order",
    { prompt: "p", completions: [" a", " b", " c"], order: [2, 0, 1] },
    { kind: "ranking", ranks: [2, 3, 1] },
  ],
  [
    "ranking-ratings",
    { prompt: "p", completions: [" a", " b", " c"], ratings: [1, 5, 1] },
    { kind: "ranking", ranks: [1, 0, 1] },
  ],
  [
    "preference",
    { prompt: "p", chosen: " a", rejected: " b", margin: 2 },
    { kind: "preference", prompt: "p", chosen: " a", rejected: " b", margin: 2 },
  ],
  [
    "hh",
    { chosen: "\n\nHuman: hi\n\nAssistant: yes", rejected: "\n\nHuman: hi\n\nAssistant: no" },
    { kind: "preference", prompt: "\n\nHuman: hi\n\nAssistant:", chosen: " yes", rejected: " no" },
  ],
  [
    "preference-implicit",
    { chosen: "The mill is old.", rejected: "The mill is odd." },
    { kind: "preference", prompt: "The mill is", chosen: " old.", rejected: " odd." },
  ],
  [
    "labelled-pair",
    { prompt: "p", response_1: " a", response_2: " b", preference: 0 },
    { kind: "preference", chosen: " b", rejected: " a" },
  ],
  ["rating", { prompt: "p", completion: " a", rating: 4 }, { kind: "rating", rating: 4 }],
  ["label", { prompt: "p", completion: " a", label: 0 }, { kind: "label", label: false }],
  [
    "label-messages",
    { messages: [user("q"), assistant("a")], label: true },
    { kind: "label", prompt: [user("q")], completion: [assistant("a")], label: true },
  ],
  [
    "prompt-completion",
    { prompt: "p", completion: " a" },
    { kind: "completion", prompt: "p", completion: " a" },
  ],
  ["messages", { messages: [user("q")] }, { kind: "messages", messages: [user("q")] }],
  [
    "sharegpt-preference",
    {
      system: "be kind",
      conversations: [{ from: "human", value: "q" }],
      chosen: { from: "gpt", value: "a" },
      rejected: { from: "gpt", value: "b" },
    },
    {
      kind: "preference",
      prompt: [{ role: "system", content: "be kind" }, user("q")],
      chosen: [assistant("a")],
      rejected: [assistant("b")],
    },
  ],
  [
    "alpaca-preference",
    { instruction: "Say it.", input: "it", chosen: "it!", rejected: "no" },
    {
      kind: "preference",
      prompt: expect.stringMatching(/### Input:\nit\n\n### Response:\n$/),
      chosen: "it!",
    },
  ],
  [
    "pandalm",
    {
      instruction: "i",
      input: "",
      response1: "a",
      response2: "b",
      annotator1: 2,
      annotator2: 0,
      annotator3: 2,
    },
    { kind: "preference", chosen: "b", rejected: "a" },
  ],
  [
    "summarize-from-feedback",
    {
      info: { post: "A long day.", title: "Day", subreddit: "town" },
      summaries: [{ text: " short" }, { text: " shorter" }],
      choice: 1,
    },
    {
      kind: "preference",
      prompt: "SUBREDDIT: r/town\n\nTITLE: Day\n\nPOST: A long day.\n\nTL;DR:",
      chosen: " shorter",
      rejected: " short",
    },
  ],
  [
    "summarize-from-feedback-axis",
    { info: { article: "News." }, summary: { text: "n", axes: { overall: 6, coverage: null } } },
    { kind: "rating", prompt: "News.\n\nTL;DR:", completion: " n", rating: 6 },
  ],
  [
    "webgpt-comparisons",
    { question: { full_text: "Why?" }, answer_0: "a", answer_1: "b", score_0: -0.5, score_1: 0.5 },
    { kind: "preference", prompt: "Question: Why?\nAnswer:", chosen: " b", rejected: " a" },
  ],
  [
    "oasst-tree",
    { prompt: { text: "q", replies: [{ text: "b", rank: 1 }, { text: "a", rank: 0 }, { text: "new" }] } },
    { kind: "ranking", prompt: "\n\nHuman: q\n\nAssistant:", completions: [" b", " a"], ranks: [2, 1] },
  ],
  [
    "sharegpt",
    {
      conversations: [
        { from: "human", value: "q" },
        { from: "gpt", value: "a" },
      ],
    },
    { kind: "messages", messages: [user("q"), assistant("a")] },
  ],
  [
    "alpaca",
    { instruction: "Say it.", input: "", output: "it" },
    {
      kind: "completion",
      prompt: expect.stringMatching(/^Below is an instruction that describes a task\. .*### Response:\n$/s),
      completion: "it",
    },
  ],
  [
    "self-instruct",
    { instruction: "Say it.", instances: [{ input: "", output: "it" }] },
    { kind: "completion", completion: "it" },
  ],
  [
    "question-answer",
    { question: "q?", answer: "a" },
    { kind: "completion", prompt: "Question: q?\nAnswer:", completion: " a" },
  ],
  [
    "scitldr",
    { source: ["One.", "Two."], target: ["Both.", "2"] },
    { kind: "completion", prompt: "One. Two.\n\nTL;DR:", completion: " Both." },
  ],
  ["prompt", { prompt: [user("q")] }, { kind: "prompt", prompt: [user("q")] }],
  ["text", { text: "t", label: "fiction" }, { kind: "text", text: "t" }],
];
