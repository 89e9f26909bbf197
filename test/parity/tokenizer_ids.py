"""Writes the golden files of the tokenizer, BPE-trainer and chat-template tests.

    python test/parity/tokenizer_ids.py        (transformers 5.23, tokenizers 0.23, jinja2 3.1)

Everything is made here: the training text comes from a small word list, the tokenizers are trained on it in the
styles of GPT-2, Llama 2, Llama 3, Qwen 2 and GPT-NeoX, and the messages are invented. The one outside input is the
tokenizer of ../shared/data/tinystories-656k, of which only ids are stored.
"""

import json
import os
import sys
import subprocess
import tempfile
from pathlib import Path

os.environ["TRANSFORMERS_VERBOSITY"] = "error"
HERE = Path(__file__).resolve().parent
sys.path = [p for p in sys.path if Path(p or ".").resolve() != HERE]  # this file is called tokenizer_ids.py too

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer

ROOT = HERE.parent.parent
OUT = HERE / "golden" / "tokenizers"
SHARED = Path(os.environ.get("ATTUNE_SHARED", ROOT.parent / "shared")) / "data"

LLAMA3_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

TEXTS = [
    "",
    " ",
    "Hello, world!",
    " leading and trailing  ",
    "The fox isn't here; we'll ask, I'd say: 'they've gone'. It's HE'S.",
    "tabs\tand\nnew\n\nlines\r\n  and   runs     of spaces\n",
    "1 22 333 4444 55555 3.14159 1,000,000",
    "naïve café Ünïcödé straße Ελληνικά русский עברית العربية हिन्दी ไทย",
    "日本語のテキスト 中文字符 한국어",
    "emoji 🙂🙃 👩‍👩‍👧 flags 🇫🇷 skin 👍🏽 end",
    "e\u0301 decomposed, \u00e9 composed, \ufb01 ligature, \u2126 ohm",
    "no-break\u00a0space thin\u2009space zero\u200bwidth line\u2028sep ideographic\u3000space",
    "bom \ufeff inside, next\u0085line, \x1c separator",
    "<s>special</s> in <unk> text <|endoftext|> and<|endoftext|>glued <|im_start|>user\nhi<|im_end|> [PAD]",
    "  <s>  spaced  </s>  ",
    "code: if (a != b) { return x[i]++; } // ok_then snake_case CamelCase",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "▁ underscore block ▁▁ and ĠG",
    "user-defined <extra> token and <extra>glued<extra>",
]


def corpus(lines=260):
    """Plain generated sentences: a linear congruential generator over word lists."""
    state = 12345

    def pick(items):
        nonlocal state
        state = (state * 1103515245 + 12345) % 2**31
        return items[(state >> 8) % len(items)]

    who = ["The fox", "A miller", "Our captain", "the little robot", "Ada", "Nobody", "It's the baker who"]
    did = ["found", "carried", "isn't painting", "counted", "wouldn't sell", "repaired", "re-read"]
    what = ["seven lanterns", "an old map", "the café menu", "3 blue stones", "12 letters", "the naïve plan", "a 🙂 badge"]
    where = ["near the river.", "in the tower!", "at 10:45,", "under snow;", "before winter?", "(again)."]
    return [f"{pick(who)} {pick(did)} {pick(what)} {pick(where)} {pick(did).title()}  {pick(what)}." for _ in range(lines)]


def train(tokenizer, vocab_size, special, alphabet=True, **kw):
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=2,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet() if alphabet else [],
        show_progress=False,
        **kw,
    )
    tokenizer.train_from_iterator(corpus(), trainer)
    return tokenizer


def gpt2():
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = decoders.ByteLevel()
    t.post_processor = processors.ByteLevel(trim_offsets=False)
    train(t, 420, ["<|endoftext|>"])
    t.add_tokens([AddedToken("<extra>", normalized=True)])
    return t, {
        "tokenizer_class": "GPT2Tokenizer",
        "bos_token": "<|endoftext|>",
        "eos_token": "<|endoftext|>",
        "unk_token": "<|endoftext|>",
        "add_prefix_space": False,
        "model_max_length": 1024,
    }


def llama2(legacy):
    bytes_ = [f"<0x{i:02X}>" for i in range(256)]
    t = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    t.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=True)
    train(t, 560, ["<unk>", "<s>", "</s>", *bytes_], alphabet=False)
    data = json.loads(t.to_str())
    data["added_tokens"] = [a for a in data["added_tokens"] if a["id"] < 3]
    for a in data["added_tokens"]:
        a["normalized"] = False
    t = Tokenizer.from_str(json.dumps(data))
    t.pre_tokenizer = None
    t.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    t.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    t.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", 1)])
    return t, {
        "tokenizer_class": "LlamaTokenizer",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "pad_token": None,
        "add_bos_token": True,
        "add_eos_token": False,
        "legacy": legacy,
        "clean_up_tokenization_spaces": False,
    }


def llama3():
    t = Tokenizer(models.BPE(ignore_merges=True))
    t.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(LLAMA3_SPLIT), behavior="isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    t.decoder = decoders.ByteLevel()
    train(t, 420, [])
    data = json.loads(t.to_str())
    data["model"]["ignore_merges"] = True
    t = Tokenizer.from_str(json.dumps(data))
    t.add_special_tokens(["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"])
    bos = t.token_to_id("<|begin_of_text|>")
    t.post_processor = processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=False),
            processors.TemplateProcessing(
                single="<|begin_of_text|> $A", pair="<|begin_of_text|> $A <|begin_of_text|>:1 $B:1",
                special_tokens=[("<|begin_of_text|>", bos)],
            ),
        ]
    )
    return t, {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<|begin_of_text|>",
        "eos_token": "<|eot_id|>",
        "clean_up_tokenization_spaces": True,
    }


def qwen2():
    t = Tokenizer(models.BPE())
    t.normalizer = normalizers.NFC()
    t.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(QWEN_SPLIT), behavior="isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    t.decoder = decoders.ByteLevel()
    t.post_processor = processors.ByteLevel(trim_offsets=False)
    train(t, 400, [])
    t.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    return t, {
        "tokenizer_class": "Qwen2Tokenizer",
        "add_bos_token": False,
        "add_prefix_space": False,
        "bos_token": None,
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "unk_token": None,
        "clean_up_tokenization_spaces": False,
    }


def neox():
    t = Tokenizer(models.BPE())
    t.normalizer = normalizers.NFC()
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = decoders.ByteLevel()
    t.post_processor = processors.ByteLevel(trim_offsets=False)
    train(t, 400, ["<|endoftext|>", "<|padding|>"])
    t.add_tokens([AddedToken(" " * n, normalized=True) for n in (8, 4, 2)])
    return t, {
        "tokenizer_class": "GPTNeoXTokenizer",
        "add_prefix_space": False,
        "bos_token": "<|endoftext|>",
        "eos_token": "<|endoftext|>",
        "unk_token": "<|endoftext|>",
    }


def config_only_tokens():
    """Special tokens that stand in tokenizer_config.json alone: transformers adds them when it loads."""
    t, config = gpt2()
    return t, {
        **config,
        "tokenizer_class": "PreTrainedTokenizerFast",
        "pad_token": "[PAD]",
        "eos_token": {"__type": "AddedToken", "content": "<|im_end|>", "lstrip": False, "rstrip": True, "normalized": False, "single_word": False},
        "additional_special_tokens": ["<|im_start|>"],
    }


def own_trainer():
    """The byte-level BPE that Attune itself trains on the corpus."""
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / "bpe.mjs"
        esbuild = ROOT / "node_modules" / ".bin" / "esbuild"
        source = ROOT / "src" / "models" / "bpe-trainer.ts"
        subprocess.run([esbuild, source, "--bundle", "--format=esm", f"--outfile={bundle}", "--log-level=warning"], check=True)
        script = (
            f"import {{ trainBpe }} from {json.dumps(bundle.as_uri())};"
            f"process.stdout.write(JSON.stringify(trainBpe({json.dumps(corpus())}, {{ vocabSize: 400 }})));"
        )
        made = json.loads(subprocess.run(["node", "--input-type=module", "-e", script], check=True, capture_output=True).stdout)
    return Tokenizer.from_str(json.dumps(made["tokenizer"])), made["config"]


def load(tokenizer_json, config):
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "tokenizer.json").write_text(json.dumps(tokenizer_json))
        Path(folder, "tokenizer_config.json").write_text(json.dumps(config))
        return AutoTokenizer.from_pretrained(folder)


def cases(tokenizer):
    rows = []
    for text in TEXTS:
        ids = tokenizer(text).input_ids
        plain = tokenizer(text, add_special_tokens=False).input_ids
        rows.append(
            {
                "text": text,
                "ids": ids,
                "plain": plain,
                "decoded": tokenizer.decode(ids),
                "skipped": tokenizer.decode(ids, skip_special_tokens=True),
            }
        )
    return rows


def facts(tokenizer):
    return {
        "size": max(tokenizer.get_vocab().values()) + 1,
        "bos": tokenizer.bos_token_id,
        "eos": tokenizer.eos_token_id,
        "pad": tokenizer.pad_token_id,
        "unk": tokenizer.unk_token_id,
    }


def write(name, value):
    OUT.mkdir(parents=True, exist_ok=True)
    path = OUT / f"{name}.json"
    path.write_text(json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n")
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size} bytes")


STYLES = {
    "gpt2": gpt2,
    "llama2": lambda: llama2(False),
    "llama2-legacy": lambda: llama2(True),
    "llama3": llama3,
    "qwen2": qwen2,
    "neox": neox,
    "config-only": config_only_tokens,
    "own-trainer": own_trainer,
}


def main():
    for name, make in STYLES.items():
        raw, config = make()
        tokenizer_json = json.loads(raw.to_str())
        tokenizer = load(tokenizer_json, config)
        value = {"class": type(tokenizer).__name__, "facts": facts(tokenizer), "cases": cases(tokenizer)}
        if name == "llama2-legacy":
            write(name, {"sameTokenizerAs": "llama2", "config": config, **value})
        else:
            write(name, {"tokenizer": tokenizer_json, "config": config, **value})

    folder = SHARED / "tinystories-656k"
    if folder.exists():
        tokenizer = AutoTokenizer.from_pretrained(folder)
        write("tinystories-656k", {"class": type(tokenizer).__name__, "facts": facts(tokenizer), "cases": cases(tokenizer)})
    else:
        print(f"skipped tinystories-656k: no {folder}")

    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    train(t, 480, ["<|endoftext|>", "<|pad|>"])
    model = json.loads(t.to_str())["model"]
    write("bpe-trainer", {"corpus": corpus(), "vocabSize": 480, "vocab": model["vocab"], "merges": model["merges"]})


if __name__ == "__main__":
    main()
