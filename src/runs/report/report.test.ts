import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseHTML } from "linkedom";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { RunError } from "../errors.ts";
import { thinned } from "./charts.ts";
import { compactCount, duration, number, score } from "./format.ts";
import { escapeHtml, html } from "./html.ts";
import { writeReport } from "./report.ts";
import { type FixtureOptions, writeFixtureRun } from "./run.fixture.ts";

let root: string;
let count = 0;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "attune-report-"));
});
afterAll(() => rm(root, { recursive: true, force: true }));

async function fixture(options: FixtureOptions = {}): Promise<string> {
  const dir = join(root, `run-${count++}`);
  await mkdir(dir);
  await writeFixtureRun(dir, { prompts: 10, ...options });
  return dir;
}

/** Of a whole run, and of one that is full of hostile text; not to be changed. */
let whole: Awaited<ReturnType<typeof reportOf>>;
let attacked: typeof whole;
beforeAll(async () => {
  whole = await reportOf(await fixture({ prompts: 60 }));
  attacked = await reportOf(await fixture({ inserted: hostile }));
});

async function reportOf(dir: string) {
  const report = await writeReport(dir);
  const text = await readFile(report.path, "utf8");
  return { ...report, text, document: parseHTML(text).document };
}

const all = ["run", "results", "frontier", "reward-model", "training", "time", "responses"];
const hostile = `</script><script>alert(1)</script><img src="https://example.com/x.png" onerror='alert(2)'>&lt;\u0000\u001b[31m`;

describe("the report", () => {
  it("has every section for a whole run, in order, each with a heading and a link", () => {
    const { sections, document, stages, notes } = whole;
    expect([sections, notes]).toEqual([all, []]);
    expect(stages).toEqual(["base", "sft", "reward", "ppo", "dpo"]);
    expect([...document.querySelectorAll("main > section")].map(({ id }) => id)).toEqual(all);
    expect([...document.querySelectorAll("nav a")].map((a) => a.getAttribute("href"))).toEqual(
      all.map((id) => `#${id}`),
    );
    expect(document.querySelector(".lead")?.textContent).toMatch(
      /Five stages.* ran in 4 min 32 s.* ppo, reaches a reward of 0\.80 \(0\.77 to 0\.82\) on 240 held-out prompts, up from 0\.60 for sft\. It wins 79 % \(74 to 84 %\) of the comparisons with sft, at a KL of 9\.83 nats per response from sft\./,
    );
  });

  it("shows the stages' measures with their intervals, and responses side by side with what they gained", () => {
    const { document } = whole;
    const row = [...document.querySelectorAll("#results tbody tr")].find((tr) =>
      tr.textContent?.includes("dpo"),
    );
    expect(row?.textContent).toMatch(
      /0\.76 0\.74 to 0\.79.*75 % 70 to 80 % over sft.*6\.41 5\.71 to 7\.16 from sft/s,
    );
    const [first] = document.querySelectorAll("article");
    expect(first?.getAttribute("data-kind")).toBe("knowledge");
    expect([...(first?.querySelectorAll("h4 .stage") ?? [])].map(({ textContent }) => textContent)).toEqual([
      "base",
      "sft",
      "ppo",
      "dpo",
    ]);
    expect(first?.querySelectorAll(".gain")).toHaveLength(3);
    expect(document.querySelectorAll("article")).toHaveLength(48);
    expect(document.querySelector("#responses p")?.textContent).toMatch(/^48 of 60 prompts/);
  });

  it("fetches nothing, and forbids that to whatever is in it", () => {
    const { text, document } = attacked;
    const addresses = [
      ...document.querySelectorAll("[src], [href], [action], [srcset], link, iframe, object"),
    ];
    expect(addresses.map((element) => element.getAttribute("href")).sort()).toEqual(
      all.map((id) => `#${id}`).sort(),
    );
    const style = document.querySelector("head style")?.textContent ?? "";
    expect(style).not.toMatch(/url\(|@import|https?:/);
    expect(text).toMatch(
      /Content-Security-Policy" content="default-src &#39;none&#39;;[^"]*script-src &#39;sha256-/,
    );
  });

  it("holds what a model wrote as text, never as markup, wherever it stands", () => {
    const { document, text } = attacked;
    expect(document.querySelectorAll("script")).toHaveLength(1);
    expect(document.querySelectorAll("img, [onerror]")).toHaveLength(0);
    expect(text).not.toContain("<script>alert");
    expect(document.querySelector("h1")?.textContent).toContain("world</script><script>alert(1)");
    expect(document.querySelector("article h3")?.textContent).toContain("clock tower?</script>");
    expect(document.querySelector("article .text")?.textContent).toMatch(/&lt;␀␛\[31m$/);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they must not be there
    expect(text).not.toMatch(/[\u0000-\u0008\u000b-\u001f]/);
  });

  it("every plot has words in its place, every table a caption and headings", () => {
    const { document } = whole;
    const plots = [...document.querySelectorAll("svg")];
    expect(plots.length).toBeGreaterThan(25);
    for (const plot of plots) {
      expect(plot.getAttribute("role")).toBe("img");
      expect(plot.getAttribute("aria-label")?.length).toBeGreaterThan(20);
    }
    for (const table of document.querySelectorAll("table")) {
      expect(table.querySelector("caption")?.textContent).toMatch(/\w/);
      expect(table.querySelectorAll('thead th[scope="col"]').length).toBeGreaterThan(3);
      expect(table.querySelectorAll('tbody th[scope="row"]').length).toBe(
        table.querySelectorAll("tbody tr").length,
      );
    }
    expect(document.querySelector("html")?.getAttribute("lang")).toBe("en");
    expect(document.querySelector(".controls")?.hasAttribute("hidden")).toBe(true); // until the script runs
  });

  it("folds away what a model said while it trained, from the first step to the last", () => {
    const { document } = whole;
    const details = document.querySelector("#training details");
    expect(details?.querySelector("summary")?.textContent).toBe("What ppo said while it trained");
    const steps = [...(details?.querySelectorAll("tbody th") ?? [])].map(({ textContent }) => textContent);
    expect([steps.length, steps[0], steps.at(-1)]).toEqual([16, "1", "120"]);
  });

  it("leaves a section out with the files that it is made of", async () => {
    const without = async (...files: string[]) => {
      const dir = await fixture();
      for (const stage of ["base", "sft", "reward", "ppo", "dpo"])
        for (const file of files) await rm(join(dir, "stages", stage, file), { force: true });
      const { sections, notes } = await reportOf(dir);
      expect(notes).toEqual([]);
      return all.filter((id) => !sections.includes(id));
    };
    expect(await without("evaluation.json")).toEqual(["results"]);
    expect(await without("evaluation.json", "metrics.jsonl")).toEqual(["results", "frontier", "training"]);
    expect(await without("responses.jsonl")).toEqual(["responses"]);
    expect(await without("stage.json")).toEqual(["reward-model"]);
    expect(await without("stage.json", "metrics.jsonl")).toEqual(["reward-model", "training", "time"]);
  });

  it("of a run that is not over says how far it is", async () => {
    const dir = await fixture();
    await rm(join(dir, "stages", "dpo"), { recursive: true });
    await writeFile(
      join(dir, "stages", "ppo", "stage.json"),
      '{"name": "ppo", "status": "failed", "steps": 7}',
    );
    const { document } = await reportOf(dir);
    expect(document.querySelector(".lead")?.textContent).toContain(
      "Not done: ppo failed, dpo has not begun.",
    );
    const states = [...document.querySelectorAll("#run tbody tr")].map(
      (row) => row.lastElementChild?.textContent,
    );
    expect(states).toEqual(["done", "done", "done", "failed"]);
    expect(whole.document.querySelector("#run thead")?.textContent).not.toContain("status");
  });

  it("of a single trainer is made of its folder alone", async () => {
    const dir = join(await fixture(), "stages", "sft");
    for (const file of ["stage.json", "evaluation.json", "responses.jsonl"]) await rm(join(dir, file));
    const { sections, stages } = await reportOf(dir);
    expect([sections, stages]).toEqual([["run", "training"], ["sft"]]);
  });

  it("says what it could not read, and shows the rest", async () => {
    const dir = await fixture();
    await writeFile(join(dir, "stages", "ppo", "evaluation.json"), '{"prompts": 2');
    await writeFile(
      join(dir, "stages", "sft", "stage.json"),
      '{"name": "sft", "steps": "many", "seconds": 12.3}',
    );
    const metrics = join(dir, "stages", "dpo", "metrics.jsonl");
    await writeFile(metrics, `{"step":1,"loss":1}\n{"step":2,"loss":null}\n{"step":3,"loss":2}\n{"st`);
    const { sections, notes, document } = await reportOf(dir);
    expect(sections).toEqual(all);
    expect(notes).toHaveLength(3);
    expect(notes.join("\n")).toMatch(
      /sft.stage\.json: steps: [\s\S]*ppo.evaluation\.json is not JSON[\s\S]*dpo.metrics\.jsonl:4 is not JSON/,
    );
    expect(document.querySelectorAll("footer li")).toHaveLength(3);
    expect(document.querySelector("#run tbody tr:nth-child(2)")?.textContent).toContain("12 s");
  });

  it("is refused for a folder that is no run, with one line", async () => {
    await mkdir(join(root, "empty"), { recursive: true });
    for (const [dir, reason] of [
      ["empty", /run.json or metrics.jsonl; there is neither$/],
      ["nowhere", /there is no such folder$/],
    ] as const) {
      const attempt = writeReport(join(root, dir));
      await expect(attempt).rejects.toThrow(RunError);
      await expect(attempt).rejects.toThrow(reason);
    }
    await expect(
      writeReport(await fixture(), { output: join(root, "no", "such", "x.html") }),
    ).rejects.toThrow(/x\.html: .*; the report was not written$/);
  });
});

describe("html", () => {
  it("escapes what is inserted, keeps what is HTML, and joins lists", () => {
    expect(html`<p title="${'"'}">${"<b>"}${html`<i>${1}</i>`}${["&", undefined, false]}</p>`.html).toBe(
      '<p title="&quot;">&lt;b&gt;<i>1</i>&amp;</p>',
    );
    expect(escapeHtml("a\r\nb\tc\u0007")).toBe("a\nb\tc␇");
  });
});

describe("numbers", () => {
  it("have about three digits, a real minus, and units that people use", () => {
    expect([0.02134, 0.2134, 2.134, 21.34, 2134.2, -1.5, 0, 1.2e-5, Number.NaN].map(number)).toEqual([
      "0.021",
      "0.21",
      "2.13",
      "21.3",
      "2,134",
      "−1.50",
      "0",
      "1.2e-5",
      "–",
    ]);
    expect([score(-0.001, true), score(0.1, true), score(-0.25)]).toEqual(["0.00", "+0.10", "−0.25"]);
    expect([950, 702_464, 5_600_000, 124e6, 1.2e9].map(compactCount)).toEqual([
      "950",
      "702k",
      "5.6M",
      "124M",
      "1.2B",
    ]);
    expect([4.21, 42, 185, 7_800].map(duration)).toEqual(["4.2 s", "42 s", "3 min 05 s", "2 h 10 min"]);
  });

  it("of a long course are thinned to means that keep its mean", () => {
    const points = Array.from({ length: 1_000 }, (_, i) => [i, i % 7] as const);
    const thin = thinned(points, 100);
    expect(thin).toHaveLength(100);
    expect(thin[0]).toEqual([4.5, 2.4]);
    expect(thin.reduce((sum, [x]) => sum + x, 0) / 100).toBeCloseTo(499.5);
  });
});
