/** Does the model read chat messages? Then rows that are written dialogues or instructions become messages. */
import { configuredTemplate } from "../models/chat/chat-template.ts";
import type { Tokenizer } from "../models/tokenizer/tokenizer.ts";

export const readsChat = (tokenizer: Tokenizer, { chatTemplate }: { chatTemplate?: string }): boolean =>
  chatTemplate !== undefined || configuredTemplate(tokenizer.config, false) !== undefined;
