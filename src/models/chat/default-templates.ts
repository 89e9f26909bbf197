/**
 * Chat templates by name, for models that come without one, to be saved in `tokenizer_config.json`.
 *
 * Each marks what the assistant says (its end-of-turn token included) with `{% generation %}` blocks, so that Attune
 * and `transformers` know which tokens to train on.
 */

import { ChatTemplateError } from "../errors.ts";
import type { NewToken } from "../tokenizer/added-tokens.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import type { AddedToken } from "../tokenizer/tokenizer-files.ts";

interface DefaultTemplate {
  template: string;
  /** Tokens that the template writes and the tokenizer must know as one. */
  tokens: readonly NewToken[];
  /** The token that ends a turn, where it is not the tokenizer's own `eos_token`. */
  eosToken?: string;
}

const end = "{% set end = eos_token if eos_token is defined and eos_token else '' %}";

export const defaultTemplates = {
  /** `<|im_start|>role\n...<|im_end|>\n` (OpenAI's ChatML, as Qwen and SmolLM use it). */
  chatml: {
    template: `{% for message in messages %}\
{{ '<|im_start|>' + message['role'] + '\\n' }}\
{% if message['role'] == 'assistant' %}\
{% generation %}{{ message['content'] + '<|im_end|>' }}{% endgeneration %}\
{% else %}{{ message['content'] + '<|im_end|>' }}{% endif %}\
{{ '\\n' }}{% endfor %}\
{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}`,
    tokens: ["<|im_start|>", "<|im_end|>"],
    eosToken: "<|im_end|>",
  },
  /** `\n\nHuman: ...\n\nAssistant: ...` (Anthropic HH), an end-of-text token after each answer. */
  "human-assistant": {
    template: `${end}{% for message in messages %}\
{% if message['role'] == 'user' %}{{ '\\n\\nHuman: ' + message['content'] }}\
{% elif message['role'] == 'assistant' %}{{ '\\n\\nAssistant:' }}\
{% generation %}{{ ' ' + message['content'] + end }}{% endgeneration %}\
{% elif message['role'] == 'system' %}{{ message['content'] }}\
{% else %}{{ raise_exception('The human-assistant template knows the roles system, user and assistant, got ' + message['role']) }}\
{% endif %}{% endfor %}\
{% if add_generation_prompt %}{{ '\\n\\nAssistant:' }}{% endif %}`,
    tokens: [],
  },
  /** The contents alone, a line break between turns, an end-of-text token after each answer. */
  plain: {
    template: `${end}{% for message in messages %}\
{% if message['role'] == 'assistant' %}{% generation %}{{ message['content'] + end }}{% endgeneration %}\
{% else %}{{ message['content'] }}{% endif %}\
{% if not loop.last or (add_generation_prompt and message['role'] != 'assistant') %}{{ '\\n' }}{% endif %}\
{% endfor %}`,
    tokens: [],
  },
} as const satisfies Record<string, DefaultTemplate>;

export type DefaultTemplateName = keyof typeof defaultTemplates;

export function isDefaultTemplateName(name: string): name is DefaultTemplateName {
  return Object.hasOwn(defaultTemplates, name);
}

/**
 * The tokenizer with a named template in its configuration, and the tokens that the template needs.
 *
 * @returns the tokenizer to save, and the tokens that got new ids (resize the embeddings when there are any).
 * @throws ChatTemplateError for an unknown name.
 */
export function withDefaultTemplate(
  tokenizer: Tokenizer,
  name: string,
): { tokenizer: Tokenizer; added: AddedToken[] } {
  if (!isDefaultTemplateName(name)) {
    throw new ChatTemplateError(
      `withDefaultTemplate: no template is called ${JSON.stringify(name)}. ` +
        `Take one of ${Object.keys(defaultTemplates).join(", ")}.`,
    );
  }
  const { template, tokens, eosToken }: DefaultTemplate = defaultTemplates[name];
  const grown = tokenizer.addTokens(tokens);
  const eos = eosToken ? { eos_token: eosToken } : {};
  return { tokenizer: grown.tokenizer.withConfig({ chat_template: template, ...eos }), added: grown.added };
}
