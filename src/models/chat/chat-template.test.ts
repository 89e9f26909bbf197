import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { createTokenizer, type Tokenizer } from "../tokenizer/tokenizer.ts";
import { type ChatMessage, chatTemplate, configuredTemplate } from "./chat-template.ts";
import { assistantMask, encodeChat } from "./chat-tokens.ts";
import { defaultTemplates, withDefaultTemplate } from "./default-templates.ts";
import { strftime } from "./python-strings.ts";

interface Case {
  template: string;
  tokenizer: string;
  conversation: string;
  prompt: boolean;
  text?: string;
  error?: string;
  open?: string;
  openError?: string;
  ids?: number[];
  mask?: string;
}

const folder = "test/parity/golden/tokenizers";
const read = (name: string) => JSON.parse(readFileSync(`${folder}/${name}.json`, "utf8"));
const golden: {
  templates: Record<string, string>;
  own: Record<string, string>;
  conversations: Record<string, { messages: ChatMessage[]; tools?: object[] }>;
  cases: Case[];
} = read("chat-templates");
const sources: Record<string, string> = { ...golden.own, ...golden.templates };
const tokenizers = new Map<string, Tokenizer>();

function tokenizerOf(name: string): Tokenizer {
  const known = tokenizers.get(name) ?? createTokenizer(read(name));
  tokenizers.set(name, known);
  return known;
}

const chat = (name: string) => golden.conversations[name] as { messages: ChatMessage[]; tools?: object[] };

describe("parity with apply_chat_template of transformers", () => {
  it("the golden file holds today's named templates", () => {
    const today = Object.entries(defaultTemplates).map(([name, { template }]) => [name, template]);
    expect(golden.own).toEqual(Object.fromEntries(today));
  });

  describe.each(Object.keys(sources))("%s", (name) => {
    const cases = golden.cases.filter((each) => each.template === name);

    it("renders the same text and refuses the same messages", () => {
      for (const { tokenizer, conversation, prompt, text } of cases) {
        const { messages, tools } = chat(conversation);
        const template = chatTemplate(sources[name] as string, tokenizerOf(tokenizer).specialTokens);
        const render = () =>
          template.render(messages, { addGenerationPrompt: prompt, ...(tools && { tools }) });
        if (text === undefined) expect(render, conversation).toThrow();
        else expect(render(), conversation).toBe(text);
      }
    });

    it("leaves the last message open where it is continued", () => {
      for (const { tokenizer, conversation, open, openError } of cases) {
        const template = chatTemplate(sources[name] as string, tokenizerOf(tokenizer).specialTokens);
        const render = () => template.render(chat(conversation).messages, { continueFinalMessage: true });
        if (open !== undefined) expect(render(), conversation).toBe(open);
        if (openError !== undefined) expect(render, conversation).toThrow();
      }
    });

    const marked = cases.filter((each) => each.mask !== undefined);
    if (marked.length === 0) return;
    it("marks the same tokens as the assistant's", () => {
      for (const { tokenizer, conversation, prompt, ids, mask } of marked) {
        const { messages, tools } = chat(conversation);
        const options = {
          template: sources[name] as string,
          addGenerationPrompt: prompt,
          ...(tools && { tools }),
        };
        const made = assistantMask(tokenizerOf(tokenizer), messages, options);
        expect(made.ids, conversation).toEqual(ids);
        expect(made.mask.join(""), conversation).toBe(mask);
      }
    });
  });
});

describe("assistantMask by prefixes", () => {
  const spoken = (tokenizer: Tokenizer, { ids, mask }: { ids: number[]; mask: number[] }) =>
    tokenizer.decode(ids.filter((_, i) => mask[i] === 1));

  it.each([
    ["llama3", "llama3", "turns", "Rufus.<|eot_id|>Zoé,\nof course.<|eot_id|>"],
    ["qwen2.5", "qwen2", "turns", "Rufus.<|im_end|>Zoé,\nof course.<|im_end|>"],
    ["zephyr", "llama2", "system", "No.</s>Yes.</s>"],
    ["llama2", "llama2", "turns", "Rufus. </s> Zoé,\nof course. </s>"],
    ["mistral", "llama2", "turns", "Rufus.</s>Zoé,\nof course.</s>"],
  ])(
    "%s says which tokens are the assistant's, its end of turn included",
    (template, name, conversation, expected) => {
      const tokenizer = tokenizerOf(name);
      const made = assistantMask(tokenizer, chat(conversation).messages, {
        template: sources[template] as string,
      });
      expect(spoken(tokenizer, made)).toBe(expected);
    },
  );

  it("agrees with generation blocks where a template has both forms", () => {
    for (const conversation of ["pair", "spaces", "turns", "system", "tools"]) {
      const { messages, tools } = chat(conversation);
      const tokenizer = tokenizerOf("qwen2");
      const [plain, marked] = ["qwen2.5", "qwen2.5-generation"].map((template) =>
        assistantMask(tokenizer, messages, {
          template: sources[template] as string,
          ...(tools && { tools }),
        }),
      );
      if (conversation === "tools") expect(spoken(tokenizer, plain as never)).toContain("<tool_call>");
      else expect(plain).toEqual(marked);
    }
  });

  it("says so when a template renders a beginning differently from the whole", () => {
    const template =
      "{% for m in messages %}{{ m.content if loop.last or m.role == 'user' else '(earlier)' }}<|im_end|>{% endfor %}";
    const run = () => assistantMask(tokenizerOf("qwen2"), chat("turns").messages, { template });
    expect(run).toThrow(/renders the first 2 of 5 messages differently .*generation %}/);
  });

  it("covers every token of the reply and none of the prompt, whatever the boundary does to tokens", () => {
    const tokenizer = tokenizerOf("llama3");
    const { text, ids, mask } = assistantMask(tokenizer, chat("pair").messages, { template: "plain" });
    expect(text).toBe("How tall is the old tower?\nAbout 40 metres.<|eot_id|>");
    expect(tokenizer.decode(ids.filter((_, i) => mask[i]))).toBe("About 40 metres.<|eot_id|>");
  });
});

describe("default templates", () => {
  it("are saved in the configuration, with their tokens, and then used", () => {
    const before = tokenizerOf("gpt2");
    const { tokenizer, added } = withDefaultTemplate(before, "chatml");
    expect(added.map((token) => token.content)).toEqual(["<|im_start|>", "<|im_end|>"]);
    expect(tokenizer.vocabSize).toBe(before.vocabSize + 2);
    expect(tokenizer.specialTokens.eos_token).toBe("<|im_end|>");
    const again = createTokenizer(tokenizer.toJSON());
    const { text, ids } = encodeChat(again, chat("one").messages, { addGenerationPrompt: true });
    expect(text).toBe("<|im_start|>user\nHow tall is the old tower?<|im_end|>\n<|im_start|>assistant\n");
    expect(ids[0]).toBe(again.tokenToId("<|im_start|>"));
  });

  it("write the Anthropic HH form", () => {
    const { text } = encodeChat(tokenizerOf("gpt2"), chat("pair").messages, { template: "human-assistant" });
    expect(text).toBe("\n\nHuman: How tall is the old tower?\n\nAssistant: About 40 metres.<|endoftext|>");
  });

  it("begin a conversation's text with the text of its prompt, at every turn", () => {
    for (const name of Object.keys(defaultTemplates)) {
      const template = chatTemplate(sources[name] as string, { eos_token: "</s>" });
      const { messages } = chat("system");
      for (const i of [2, 4]) {
        const prompt = template.render(messages.slice(0, i), { addGenerationPrompt: true });
        expect(template.render(messages).startsWith(prompt), name).toBe(true);
      }
    }
  });

  it("are named when a tokenizer has no template or the name is unknown", () => {
    expect(() => encodeChat(tokenizerOf("gpt2"), [])).toThrow(
      /no chat template.*chatml, human-assistant, plain/,
    );
    expect(() => withDefaultTemplate(tokenizerOf("gpt2"), "alpaca")).toThrow(/Take one of chatml/);
  });
});

describe("chatTemplate", () => {
  it("names the place when the source does not parse, and passes on what the template raises", () => {
    expect(() => chatTemplate("{% if %}")).toThrow(/does not parse/);
    expect(() => chatTemplate("{{ raise_exception('No system turns.') }}").render([])).toThrow(
      /refuses.*No system turns/,
    );
  });

  it("takes the tool template of several when there are tools", () => {
    const named = ["default", "tool_use"].map((name) => ({ name, template: name }));
    expect(configuredTemplate({ chat_template: named })).toBe("default");
    expect(configuredTemplate({ chat_template: named }, true)).toBe("tool_use");
    expect(configuredTemplate({})).toBeUndefined();
  });

  it("offers reasoning under each of its names", () => {
    const template = chatTemplate("{{ messages[0].thinking }}{{ messages[0].reasoning_content }}");
    expect(template.render([{ role: "assistant", reasoning: "so" }])).toBe("soso");
  });

  it("tells the time of the clock it is given", () => {
    const now = new Date(2024, 6, 4, 9, 5, 3);
    expect(chatTemplate("{{ strftime_now('%d %b %Y') }}").render([], { now })).toBe("04 Jul 2024");
    expect(strftime(now, "%A %-d %B %y, %I:%M:%S %p, day %j, 100%%")).toBe(
      "Thursday 4 July 24, 09:05:03 AM, day 186, 100%",
    );
  });

  it("refuses a template that rewrites the text of its generation blocks", () => {
    const source =
      "{% set x %}{% generation %} a {% endgeneration %}{% endset %}{{ x | replace(' ', '') }}{{ x | upper | length }}";
    expect(() => chatTemplate(source).renderMarked([])).toThrow(
      /changes the text of its \{% generation %\} blocks/,
    );
  });
});
