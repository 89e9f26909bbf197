"""Goldens of the model families: tiny random models of `transformers`, what they compute and how they generate.

    python test/parity/models.py [NAME ...]      writes test/parity/golden/models/<name>/

Each folder is a Hugging Face model folder (config.json, model.safetensors) with golden.safetensors beside it;
README.md in this directory says what each tensor is. Weights are drawn with a large standard deviation, and biases
and norm weights away from their defaults, so that no term cancels or disappears.
"""

import json
import pathlib
import sys

import torch
import transformers
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

OUT = pathlib.Path(__file__).parent / "golden" / "models"
VOCAB, PAD, NEW_TOKENS = 48, 0, 20
LENGTHS = (12, 9, 5)  # real tokens in each row of [3, 12]
PROMPT = 3  # leading tokens that carry no label

SMALL = dict(vocab_size=VOCAB, pad_token_id=PAD, bos_token_id=1, eos_token_id=2)
ROTARY = dict(
    hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
    max_position_embeddings=64, **SMALL,
)
NEOX = dict(
    hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2, max_position_embeddings=64,
    rotary_pct=0.25, hidden_act="gelu", **SMALL,
)
# With 64 original positions and theta 100 the four frequencies of a head fall in all three bands of the scaling rule.
LLAMA3 = dict(rope_type="llama3", rope_theta=100.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=64)

CONFIGS = {
    "gpt2": lambda: transformers.GPT2Config(n_embd=16, n_layer=2, n_head=2, n_positions=64, **SMALL),
    "llama": lambda: transformers.LlamaConfig(
        **{**ROTARY, "hidden_size": 32, "intermediate_size": 40, "max_position_embeddings": 512},
        tie_word_embeddings=True, rope_parameters=LLAMA3),
    "llama-bias": lambda: transformers.LlamaConfig(
        **ROTARY, attention_bias=True, mlp_bias=True, tie_word_embeddings=False),
    "mistral": lambda: transformers.MistralConfig(**ROTARY, sliding_window=4, tie_word_embeddings=False),
    "qwen2": lambda: transformers.Qwen2Config(**ROTARY, tie_word_embeddings=True),
    "qwen3": lambda: transformers.Qwen3Config(**ROTARY, head_dim=8, tie_word_embeddings=True),
    "gpt-neox": lambda: transformers.GPTNeoXConfig(**NEOX, use_parallel_residual=True, tie_word_embeddings=False),
    "gpt-neox-sequential": lambda: transformers.GPTNeoXConfig(
        **NEOX, use_parallel_residual=False, tie_word_embeddings=False),
    "gpt-neo": lambda: transformers.GPTNeoConfig(
        hidden_size=16, num_layers=2, num_heads=2, attention_types=[[["global", "local"], 1]], window_size=4,
        max_position_embeddings=64, **SMALL),
}
SCORED = ("gpt2", "llama")
ENCODER = dict(vocab_size=VOCAB, pad_token_id=PAD, max_position_embeddings=64)
# Encoders: sequence classifiers, which read [CLS] through a head of their own.
ENCODERS = {
    "bert": lambda: transformers.BertConfig(
        hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2, **ENCODER),
    "distilbert": lambda: transformers.DistilBertConfig(dim=16, hidden_dim=24, n_layers=2, n_heads=2, **ENCODER),
}
# These are written in the form that files from before transformers 5 have, as most models on the Hub are.
LEGACY_ROPE = ("mistral", "qwen2", "gpt-neox-sequential")


def randomize(model, seed):
    """Every parameter N(0, 0.2), norm weights around 1."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.copy_(torch.randn(p.shape, generator=generator) * 0.2)
            if p.dim() == 1 and name.endswith("weight"):
                p.add_(1.0)


def rows(seed, left):
    """Ragged rows [3, 12] of tokens 3 to 47, padded on one side, with the mask; pad, bos and eos never occur."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.full((len(LENGTHS), LENGTHS[0]), PAD)
    mask = torch.zeros_like(ids)
    for row, n in enumerate(LENGTHS):
        span = slice(LENGTHS[0] - n, None) if left else slice(0, n)
        ids[row, span] = torch.randint(3, VOCAB, (n,), generator=generator)
        mask[row, span] = 1
    return ids, mask


def save_folder(model, folder):
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    path = folder / "config.json"
    config = json.loads(path.read_text())
    rope = config.get("rope_parameters")
    if folder.name in LEGACY_ROPE:
        del config["rope_parameters"]
        config["rope_theta"] = rope["rope_theta"]
        if "partial_rotary_factor" in rope:
            config["rotary_pct"] = rope["partial_rotary_factor"]
            config["rotary_emb_base"] = config.pop("rope_theta")
    path.write_text(json.dumps(config, indent=2) + "\n")


def save_golden(tensors, folder):
    save_file({k: v.detach().contiguous().clone() for k, v in tensors.items()}, folder / "golden.safetensors")


def language_model(name, seed):
    config = CONFIGS[name]()
    config._attn_implementation = "eager"
    folder = OUT / name
    model = AutoModelForCausalLM.from_config(config)
    randomize(model, seed)
    save_folder(model, folder)
    # What is on disk is what the golden is of.
    model = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32).eval()

    ids, mask = rows(seed + 1, left=False)
    labels = ids.masked_fill(mask == 0, -100)
    labels[:, :PROMPT] = -100
    out = model(input_ids=ids, attention_mask=mask, labels=labels, use_cache=False)
    out.loss.backward()
    golden = dict(input_ids=ids, attention_mask=mask, labels=labels, logits=out.logits, loss=out.loss)
    golden |= {f"grad.{n}": p.grad for n, p in model.named_parameters()}

    ids, mask = rows(seed + 2, left=True)
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    given = dict(input_ids=ids, attention_mask=mask)
    with torch.no_grad():
        left = model(**given, position_ids=positions, use_cache=False).logits
    result = model.generate(
        **given, do_sample=False, max_new_tokens=NEW_TOKENS, eos_token_id=None, pad_token_id=PAD,
        output_logits=True, return_dict_in_generate=True)
    top = torch.stack(result.logits).topk(2, dim=-1).values
    gap = (top[..., 0] - top[..., 1]).min().item()
    golden |= {"left.input_ids": ids, "left.attention_mask": mask, "left.position_ids": positions,
               "left.logits": left, "generated": result.sequences[:, ids.shape[1]:]}
    if gap < 0.003:  # float rounding could decide a token: take other weights
        return language_model(name, seed + 1)
    save_golden(golden, folder)
    print(f"{name:20} seed {seed}  loss {out.loss.item():.4f}  smallest gap of greedy decoding {gap:.4f}")


def score_model(name, seed):
    """A sequence-classification head with one output: a reward model."""
    config = CONFIGS[name]()
    config.num_labels = 1
    config._attn_implementation = "eager"
    folder = OUT / f"{name}-score"
    model = AutoModelForSequenceClassification.from_config(config)
    randomize(model, seed)
    save_folder(model, folder)
    model = AutoModelForSequenceClassification.from_pretrained(
        folder, attn_implementation="eager", dtype=torch.float32).eval()
    ids, mask = rows(seed + 1, left=False)
    scores = model(input_ids=ids, attention_mask=mask, use_cache=False).logits
    save_golden(dict(input_ids=ids, attention_mask=mask, logits=scores), folder)
    print(f"{folder.name:20} scores {scores.flatten().tolist()}")


def encoder(name, seed):
    """Scores of three outputs, and the loss and gradients of cross-entropy with labels 0, 2 and 1."""
    config = ENCODERS[name]()
    config.num_labels = 3
    config._attn_implementation = "eager"
    folder = OUT / f"{name}-score"
    model = AutoModelForSequenceClassification.from_config(config)
    randomize(model, seed)
    save_folder(model, folder)
    model = AutoModelForSequenceClassification.from_pretrained(
        folder, attn_implementation="eager", dtype=torch.float32).eval()
    ids, mask = rows(seed + 1, left=False)
    labels = torch.tensor([0, 2, 1])
    out = model(input_ids=ids, attention_mask=mask, labels=labels)
    out.loss.backward()
    golden = dict(input_ids=ids, attention_mask=mask, labels=labels, logits=out.logits, loss=out.loss)
    golden |= {f"grad.{n}": p.grad for n, p in model.named_parameters()}
    save_golden(golden, folder)
    print(f"{folder.name:20} loss {out.loss.item():.4f}")


if __name__ == "__main__":
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    wanted = sys.argv[1:] or [*CONFIGS, *ENCODERS]
    for index, family in enumerate(CONFIGS):
        if family in wanted:
            language_model(family, seed=100 * (index + 1))
            if family in SCORED:
                score_model(family, seed=100 * (index + 1) + 50)
    for index, family in enumerate(ENCODERS):
        if family in wanted:
            encoder(family, seed=100 * (index + 31))
