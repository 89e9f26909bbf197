"""Writes the golden file of the chat-template tests: text, ids and assistant masks by transformers.

    python test/parity/chat_templates.py        (transformers 5.23, jinja2 3.1)

Attune's three named templates are read from its source; the others are the public short ones of well-known families.
The messages are invented. The tokenizers are those that tokenizer_ids.py wrote.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ["TRANSFORMERS_VERBOSITY"] = "error"
HERE = Path(__file__).resolve().parent
sys.path = [p for p in sys.path if Path(p or ".").resolve() != HERE]  # beside us stands a tokenizer_ids.py

from transformers import AutoTokenizer

ROOT = HERE.parent.parent
GOLDEN = HERE / "golden" / "tokenizers"

QWEN_HEAD = r"""{%- if tools %}
    {{- '<|im_start|>system\n' }}
    {%- if messages[0]['role'] == 'system' %}
        {{- messages[0]['content'] }}
    {%- else %}
        {{- 'You are Qwen, created by Alibaba Cloud. You are a helpful assistant.' }}
    {%- endif %}
    {{- "\n\n# Tools\n\nYou may call one or more functions to assist with the user query.\n\nYou are provided with function signatures within <tools></tools> XML tags:\n<tools>" }}
    {%- for tool in tools %}
        {{- "\n" }}
        {{- tool | tojson }}
    {%- endfor %}
    {{- "\n</tools>\n\nFor each function call, return a json object with function name and arguments within <tool_call></tool_call> XML tags:\n<tool_call>\n{\"name\": <function-name>, \"arguments\": <args-json-object>}\n</tool_call><|im_end|>\n" }}
{%- else %}
    {%- if messages[0]['role'] == 'system' %}
        {{- '<|im_start|>system\n' + messages[0]['content'] + '<|im_end|>\n' }}
    {%- else %}
        {{- '<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n' }}
    {%- endif %}
{%- endif %}
"""
QWEN_TAIL = r"""        {%- for tool_call in message.tool_calls %}
            {%- if tool_call.function is defined %}
                {%- set tool_call = tool_call.function %}
            {%- endif %}
            {{- '\n<tool_call>\n{"name": "' }}
            {{- tool_call.name }}
            {{- '", "arguments": ' }}
            {{- tool_call.arguments | tojson }}
            {{- '}\n</tool_call>' }}
        {%- endfor %}
"""
QWEN_END = r"""    {%- elif message.role == "tool" %}
        {%- if (loop.index0 == 0) or (messages[loop.index0 - 1].role != "tool") %}
            {{- '<|im_start|>user' }}
        {%- endif %}
        {{- '\n<tool_response>\n' }}
        {{- message.content }}
        {{- '\n</tool_response>' }}
        {%- if loop.last or (messages[loop.index0 + 1].role != "tool") %}
            {{- '<|im_end|>\n' }}
        {%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
{%- endif %}
"""

TEMPLATES = {
    "llama2": r"""{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}{% for message in loop_messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}{% if loop.index0 == 0 and system_message != false %}{% set content = '<<SYS>>\n' + system_message + '\n<</SYS>>\n\n' + message['content'] %}{% else %}{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ ' '  + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}""",
    "llama3": r"""{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>

'+ message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>

' }}{% endif %}""",
    "llama3-generation": r"""{{- bos_token }}
{%- for message in messages %}
    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' }}
    {%- if message['role'] == 'assistant' %}
        {%- generation %}
        {{- message['content'] | trim + '<|eot_id|>' }}
        {%- endgeneration %}
    {%- else %}
        {{- message['content'] | trim + '<|eot_id|>' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}
{%- endif %}
""",
    "qwen2.5": QWEN_HEAD
    + r"""{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) or (message.role == "assistant" and not message.tool_calls) %}
        {{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>' + '\n' }}
    {%- elif message.role == "assistant" %}
        {{- '<|im_start|>' + message.role }}
        {%- if message.content %}
            {{- '\n' + message.content }}
        {%- endif %}
"""
    + QWEN_TAIL
    + r"""        {{- '<|im_end|>\n' }}
"""
    + QWEN_END,
    "qwen2.5-generation": QWEN_HEAD
    + r"""{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>' + '\n' }}
    {%- elif message.role == "assistant" %}
        {{- '<|im_start|>' + message.role + '\n' }}
        {%- generation -%}
        {%- if message.content %}
            {{- message.content }}
        {%- endif %}
"""
    + QWEN_TAIL
    + r"""        {{- '<|im_end|>' }}
        {%- endgeneration -%}
        {{- '\n' }}
"""
    + QWEN_END,
    "zephyr": r"""{% for message in messages %}
{% if message['role'] == 'user' %}
{{ '<|user|>
' + message['content'] + eos_token }}
{% elif message['role'] == 'system' %}
{{ '<|system|>
' + message['content'] + eos_token }}
{% elif message['role'] == 'assistant' %}
{{ '<|assistant|>
'  + message['content'] + eos_token }}
{% endif %}
{% if loop.last and add_generation_prompt %}
{{ '<|assistant|>' }}
{% endif %}
{% endfor %}""",
    "mistral": r"""{{ bos_token }}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token}}{% else %}{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}{% endfor %}""",
    "mistral-tools": r"""{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}
{%- set user_messages = loop_messages | selectattr("role", "equalto", "user") | list %}
{%- set ns = namespace() %}
{%- set ns.index = 0 %}
{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}
        {%- if tools is not none and (message == user_messages[-1]) %}
            {{- "[AVAILABLE_TOOLS] [" }}
            {%- for tool in tools %}
                {%- set tool = tool.function %}
                {{- '{"type": "function", "function": {' }}
                {%- for key, val in tool.items() if key != "return" %}
                    {%- if val is string %}
                        {{- '"' + key + '": "' + val + '"' }}
                    {%- else %}
                        {{- '"' + key + '": ' + val|tojson }}
                    {%- endif %}
                    {%- if not loop.last %}
                        {{- ", " }}
                    {%- endif %}
                {%- endfor %}
                {{- "}}" }}
                {%- if not loop.last %}
                    {{- ", " }}
                {%- else %}
                    {{- "]" }}
                {%- endif %}
            {%- endfor %}
            {{- "[/AVAILABLE_TOOLS]" }}
        {%- endif %}
        {%- if loop.last and system_message is defined %}
            {{- "[INST] " + system_message + "\n\n" + message["content"] + "[/INST]" }}
        {%- else %}
            {{- "[INST] " + message["content"] + "[/INST]" }}
        {%- endif %}
    {%- elif message.tool_calls is defined and message.tool_calls is not none %}
        {{- "[TOOL_CALLS] [" }}
        {%- for tool_call in message.tool_calls %}
            {%- set out = tool_call.function|tojson %}
            {{- out[:-1] }}
            {{- ', "id": "' + tool_call.id + '"}' }}
            {%- if not loop.last %}
                {{- ", " }}
            {%- else %}
                {{- "]" + eos_token }}
            {%- endif %}
        {%- endfor %}
    {%- elif message["role"] == "assistant" %}
        {{- " " + message["content"]|trim + eos_token}}
    {%- elif message["role"] == "tool_results" or message["role"] == "tool" %}
        {{- '[TOOL_RESULTS] {"content": ' + message.content|string + ", " }}
        {{- '"call_id": "' + message.tool_call_id + '"}[/TOOL_RESULTS]' }}
    {%- else %}
        {{- raise_exception("Only user and assistant roles are supported, with the exception of an initial optional system message!") }}
    {%- endif %}
{%- endfor %}
""",
    "thinking": r"""{%- macro visible(content) -%}
    {%- if content is string -%}
        {{- content }}
    {%- elif content is iterable and content is not mapping -%}
        {%- for item in content -%}
            {%- if item is mapping and item.type == 'text' -%}{{- item.text }}{%- endif -%}
        {%- endfor -%}
    {%- else -%}
        {{- content }}
    {%- endif -%}
{%- endmacro -%}
{%- set ns = namespace(last=-1) %}
{%- for message in messages %}{%- if message.role == 'user' %}{% set ns.last = loop.index0 -%}{%- endif %}{%- endfor %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if message.role == "user" and not(message.content is string and message.content.startswith('<tool_response>')) %}{%- set ns.first_seen = index %}{% break %}{%- endif %}
{%- endfor %}
[{{ ns.first_seen }}]
{% for message in messages %}
    {%- set content = visible(message.content) %}
    {%- set reasoning = '' %}
    {%- if message.reasoning_content is string %}
        {%- set reasoning = message.reasoning_content %}
    {%- elif '</think>' in content %}
        {%- set reasoning = content.split('</think>')[0].rstrip('\n').split('<think>')[-1].lstrip('\n') %}
        {%- set content = content.split('</think>')[-1].lstrip('\n') %}
    {%- endif %}
    {{- '<|im_start|>' + message.role | capitalize + '\n' }}
    {%- if loop.index0 > ns.last and (loop.last or reasoning) %}
        {{- '<think>\n' + reasoning.strip('\n') + '\n</think>\n\n' + content.lstrip('\n') }}
    {%- else %}
        {{- content | trim }}
    {%- endif %}
    {%- for call in message.tool_calls or [] %}
        {%- set call = call.function if call.function is defined else call %}
        {%- for key, value in (call.arguments or {}).items() %}
            {{- '\n' ~ key ~ '=' }}{{ value | tojson if value is not string else value }}
        {%- endfor %}
    {%- endfor %}
    {{- '<|im_end|>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\n\n</think>\n\n' }}
    {%- endif %}
{%- endif %}
""",
    "printing": r"""{{ messages }}
{{ tools }}
  {% if true %}
{{ none }} {{ true }} {{ 3 }} {{ 1.5 }} {{ "it's" }} {{ ['a', "it's", none, false, {'k': 1}] }} {{ ('a', 1) }}
  {% endif %}
{{ messages | tojson(indent=2) }}
{{ undefined_name }}|{{ messages[0].missing }}|{{ "x" if tools is none }}
{%- set x = 1 %} {{ x }} {# comment #}
{{ range(3) | list }} {{ loop is defined }} {{ 'ab' ~ 1 }} {{ messages | length }}
""",
}

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "The weather at a place, in °C & words <today>",
            "parameters": {
                "type": "object",
                "properties": {
                    "place": {"type": "string", "description": "A town's name"},
                    "days": {"type": "integer", "minimum": 1},
                    "exact": {"type": "boolean", "default": True},
                },
                "required": ["place"],
            },
        },
    },
    {"type": "function", "function": {"name": "now", "description": "The time", "parameters": {"type": "object", "properties": {}}}},
]


def m(role, content, **more):
    return {"role": role, "content": content, **more}


def call(id_, name, arguments):
    return {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}


CONVERSATIONS = {
    "one": {"messages": [m("user", "How tall is the old tower?")]},
    "pair": {"messages": [m("user", "How tall is the old tower?"), m("assistant", "About 40 metres.")]},
    "spaces": {"messages": [m("user", "  What is\n\n1 + 1?  "), m("assistant", "  It's 2. 🙂  ")]},
    "turns": {
        "messages": [
            m("user", "Name a fox."),
            m("assistant", "Rufus."),
            m("user", "Another, with an accent: é"),
            m("assistant", "Zoé,\nof course."),
            m("user", "Thanks! <|im_end|> isn't text."),
        ]
    },
    "system": {
        "messages": [m("system", "Answer in one word."), m("user", "Is snow black?"), m("assistant", "No."), m("user", "White?"), m("assistant", "Yes.")]
    },
    "nulls": {"messages": [m("user", "Hi", name=None, tool_calls=None), m("assistant", "Hello!", tool_calls=None)]},
    "thoughts": {
        "messages": [
            m("user", [{"type": "text", "text": "Count "}, {"type": "image"}, {"type": "text", "text": "to two."}]),
            m("assistant", "<think>\n\n  One, two.\n</think>\n\n  1, 2  "),
            m("user", "and\u0085 then?\ufeff"),
            m("assistant", "\n 3 ", reasoning="\n Three.\n"),
        ]
    },
    "tools": {
        "messages": [
            m("system", "Use the tools."),
            m("user", "Weather in Ürzig and the time?"),
            m("assistant", None, tool_calls=[call("abc123def", "get_weather", {"place": "Ürzig", "days": 2, "exact": False}), call("abc123deg", "now", {})]),
            m("tool", '{"sky": "clear", "t": 21.5}', tool_call_id="abc123def", name="get_weather"),
            m("tool", "10:45", tool_call_id="abc123deg", name="now"),
            m("assistant", "Clear, 21.5 °C at 10:45."),
        ],
        "tools": TOOLS,
    },
}

# Which tokenizer (of tokenizer_ids.py) goes with a template.
TOKENIZER = {
    "chatml": "qwen2",
    "human-assistant": "llama3",
    "plain": "neox",
    "llama2": "llama2",
    "llama3": "llama3",
    "llama3-generation": "llama3",
    "qwen2.5": "qwen2",
    "qwen2.5-generation": "qwen2",
    "zephyr": "llama2",
    "mistral": "llama2",
    "mistral-tools": "llama2",
    "thinking": "qwen2",
    "printing": "gpt2",
}


def named_templates():
    """Attune's own templates, from its source."""
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / "templates.mjs"
        esbuild = ROOT / "node_modules" / ".bin" / "esbuild"
        source = ROOT / "src" / "models" / "default-templates.ts"
        subprocess.run([esbuild, source, "--bundle", "--format=esm", f"--outfile={bundle}", "--log-level=warning"], check=True)
        script = (
            f"import {{ defaultTemplates }} from {json.dumps(bundle.as_uri())};"
            "process.stdout.write(JSON.stringify(Object.fromEntries(Object.entries(defaultTemplates).map(([k, v]) => [k, v.template]))));"
        )
        return json.loads(subprocess.run(["node", "--input-type=module", "-e", script], check=True, capture_output=True).stdout)


def load(name):
    golden = json.loads((GOLDEN / f"{name}.json").read_text())
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "tokenizer.json").write_text(json.dumps(golden["tokenizer"]))
        Path(folder, "tokenizer_config.json").write_text(json.dumps(golden["config"]))
        return AutoTokenizer.from_pretrained(folder)


def main():
    tokenizers = {name: load(name) for name in sorted(set(TOKENIZER.values()))}
    own = named_templates()
    cases = []
    for name, source in {**own, **TEMPLATES}.items():
        tokenizer = tokenizers[TOKENIZER[name]]
        marked = "generation %}" in source.replace("generation -%}", "generation %}") and "endgeneration" in source
        for conversation, chat in CONVERSATIONS.items():
            for prompt in (False, True):
                case = {"template": name, "tokenizer": TOKENIZER[name], "conversation": conversation, "prompt": prompt}
                options = {"chat_template": source, "tools": chat.get("tools"), "add_generation_prompt": prompt}
                try:
                    case["text"] = tokenizer.apply_chat_template(chat["messages"], tokenize=False, **options)
                except Exception as error:
                    case["error"] = str(error)
                    cases.append(case)
                    continue
                if marked:
                    out = tokenizer.apply_chat_template(chat["messages"], return_assistant_tokens_mask=True, **options)
                    case["ids"], case["mask"] = out["input_ids"], "".join(map(str, out["assistant_masks"]))
                if not prompt and chat["messages"][-1]["role"] == "assistant" and not chat.get("tools"):
                    try:
                        case["open"] = tokenizer.apply_chat_template(chat["messages"], tokenize=False, continue_final_message=True, **options)
                    except Exception as error:
                        case["openError"] = str(error)
                cases.append(case)
    value = {"templates": TEMPLATES, "own": own, "conversations": CONVERSATIONS, "cases": cases}
    path = GOLDEN / "chat-templates.json"
    path.write_text(json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n")
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size} bytes, {len(cases)} cases, {sum('error' in c for c in cases)} refused")
    print({c["error"][:80] for c in cases if "error" in c})


if __name__ == "__main__":
    main()
