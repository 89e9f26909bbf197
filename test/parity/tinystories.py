"""What transformers computes with the real 656k checkpoint of ../shared/data: a few logits and 200 greedy tokens.

    python test/parity/tinystories.py [FOLDER]      writes test/parity/golden/tinystories-656k.json
"""

import json
import pathlib
import sys

import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer

HERE = pathlib.Path(__file__).parent
FOLDER = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else HERE.parents[2] / "shared" / "data" / "tinystories-656k"
PROMPT = "One day, a little girl named Lily found a needle"
NEW_TOKENS, SHOWN = 200, 24

if __name__ == "__main__":
    transformers.logging.disable_progress_bar()
    tokenizer = AutoTokenizer.from_pretrained(FOLDER)
    model = AutoModelForCausalLM.from_pretrained(FOLDER, attn_implementation="eager", dtype=torch.float32).eval()
    ids = tokenizer(PROMPT, return_tensors="pt").input_ids
    with torch.no_grad():
        out = model(ids, output_hidden_states=True, use_cache=False)
    greedy = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=NEW_TOKENS,
                            eos_token_id=None, pad_token_id=0, output_logits=True, return_dict_in_generate=True)
    top = torch.stack(greedy.logits).topk(2, dim=-1).values
    rounded = lambda x: [round(v, 6) for v in x.tolist()]
    golden = {
        "prompt": PROMPT,
        "ids": ids[0].tolist(),
        "hidden": rounded(out.hidden_states[-1][0, -1, :SHOWN]),
        "logits": rounded(out.logits[0, -1, :SHOWN]),
        "generated": greedy.sequences[0, ids.shape[1]:].tolist(),
    }
    (HERE / "golden" / "tinystories-656k.json").write_text(json.dumps(golden) + "\n")
    print("smallest gap of greedy decoding", (top[..., 0] - top[..., 1]).min().item())
    print(tokenizer.decode(golden["generated"]))
