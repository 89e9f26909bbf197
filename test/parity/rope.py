"""Golden inverse frequencies and attention scaling of every rope type, from transformers.modeling_rope_utils.

Writes golden/rope.json: rows of {name, family, config, length, inverse_frequencies, attention_scaling}, where `config`
is a config.json as transformers 4 or 5 would hold it. Run: python test/parity/rope.py (transformers 5.23, torch 2.13).
"""

import copy
import json
from pathlib import Path

from transformers import AutoConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
from transformers.models.gpt_neox.modeling_gpt_neox import GPTNeoXRotaryEmbedding
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

llama = {"model_type": "llama", "vocab_size": 32, "hidden_size": 128, "intermediate_size": 64,
         "num_hidden_layers": 2, "num_attention_heads": 4, "max_position_embeddings": 512}
neox = {"model_type": "gpt_neox", "vocab_size": 32, "hidden_size": 128, "intermediate_size": 64,
        "num_hidden_layers": 2, "num_attention_heads": 4, "max_position_embeddings": 512}
qwen3 = {**llama, "model_type": "qwen3", "num_key_value_heads": 2, "head_dim": 48}
short = [1.0 + 0.05 * i for i in range(16)]
long = [1.0 + 0.5 * i for i in range(16)]
yarn = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 128}
llama3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 64}
longrope = {"rope_type": "longrope", "short_factor": short, "long_factor": long,
            "original_max_position_embeddings": 128}

cases = [
    ("default", llama, {}, None),
    ("default, theta of transformers 4", llama, {"rope_theta": 500000.0, "rope_scaling": None}, None),
    ("default, theta of transformers 5", llama, {"rope_parameters": {"rope_type": "default", "rope_theta": 1e6}}, None),
    ("default with head_dim", qwen3, {"rope_theta": 1000000}, None),
    ("partial, transformers 4", neox, {"rotary_pct": 0.25, "rotary_emb_base": 20000}, None),
    ("partial, transformers 5", neox,
     {"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5}}, None),
    ("partial by default", neox, {}, None),
    ("linear", llama, {"rope_scaling": {"type": "linear", "factor": 4.0}}, None),
    ("linear, partial", neox, {"rope_scaling": {"type": "linear", "factor": 2.0}}, None),
    ("dynamic", llama, {"rope_scaling": {"type": "dynamic", "factor": 4.0}}, None),
    ("dynamic within the trained length", llama, {"rope_scaling": {"type": "dynamic", "factor": 4.0}}, 100),
    ("dynamic beyond the trained length", llama, {"rope_scaling": {"type": "dynamic", "factor": 4.0}}, 1500),
    ("yarn", llama, {"rope_scaling": yarn, "rope_theta": 10000.0}, None),
    ("yarn, transformers 5", llama, {"rope_parameters": {**yarn, "rope_theta": 1e6}}, None),
    ("yarn with betas and no truncation", llama,
     {"rope_parameters": {**yarn, "beta_fast": 16, "beta_slow": 2, "truncate": False, "rope_theta": 1e4}}, None),
    ("yarn with mscale", llama,
     {"rope_parameters": {**yarn, "mscale": 0.707, "mscale_all_dim": 1.2, "rope_theta": 1e4}}, None),
    ("yarn with attention_factor", llama,
     {"rope_parameters": {**yarn, "attention_factor": 1.25, "rope_theta": 1e4}}, None),
    ("yarn without factor", llama,
     {"rope_parameters": {**yarn, "factor": None, "rope_theta": 1e4}}, None),
    ("yarn without original length", llama,
     {"rope_scaling": {"type": "yarn", "factor": 4.0}}, None),
    ("longrope", llama, {"rope_scaling": longrope}, None),
    ("longrope beyond the original length", llama, {"rope_scaling": longrope}, 129),
    ("longrope with factor", llama, {"rope_scaling": {**longrope, "factor": 2.0}}, None),
    ("longrope with the length outside", llama,
     {"rope_scaling": {**longrope}, "original_max_position_embeddings": 256}, None),
    ("llama3", llama, {"rope_scaling": llama3, "rope_theta": 500000.0}, None),
    ("llama3, transformers 5", llama, {"rope_parameters": {**llama3, "rope_theta": 10000.0}}, None),
]

rows = []
for name, base, extra, length in cases:
    raw = {**base, **copy.deepcopy(extra)}
    config = AutoConfig.for_model(**copy.deepcopy(raw))
    kind = config.rope_parameters["rope_type"]
    embedding = GPTNeoXRotaryEmbedding if raw["model_type"] == "gpt_neox" else LlamaRotaryEmbedding
    if kind == "default":
        frequencies, scaling = embedding.compute_default_rope_parameters(config)
    else:
        frequencies, scaling = ROPE_INIT_FUNCTIONS[kind](config, "cpu", seq_len=length)
    rows.append({"name": name, "family": raw["model_type"], "config": raw, "length": length,
                 "inverse_frequencies": frequencies.tolist(), "attention_scaling": scaling})

out = Path(__file__).parent / "golden" / "rope.json"
out.write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")
print(f"{len(rows)} rows in {out}")
