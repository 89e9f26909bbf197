"""Golden of greedy generation with a real model: the ids that `transformers` continues three prompts with.

    python test/parity/generate.py ../shared/data/tinystories-656k      writes test/parity/golden/generate.json

Ids alone; the model stays where it is. `gap` is the smallest difference of the best two logits on the way.
"""

import json
import pathlib
import sys

sys.path.pop(0)  # tokenizer_ids.py beside this script hides the library of that name

import torch
import transformers

OUT = pathlib.Path(__file__).parent / "golden" / "generate.json"
PROMPTS = ("Once upon a time, there was a little girl named Lily.", "One day, a boy named Tim went to the park", "The sun was")
NEW_TOKENS = 200


def main(folder):
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager").eval()
    model.generation_config.eos_token_id = None
    cases = []
    for text in PROMPTS:
        ids = tokenizer(text, return_tensors="pt").input_ids
        with torch.no_grad():
            out = model.generate(
                ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=NEW_TOKENS, pad_token_id=0,
                output_logits=True, return_dict_in_generate=True)
        top = torch.stack(out.logits).topk(2, dim=-1).values
        cases.append(dict(text=text, prompt=ids[0].tolist(), generated=out.sequences[0, ids.shape[1]:].tolist(),
                          gap=(top[..., 0] - top[..., 1]).min().item()))
        print(text, cases[-1]["gap"], tokenizer.decode(cases[-1]["generated"])[:120])
    OUT.write_text(json.dumps(dict(model=pathlib.Path(folder).name, cases=cases)) + "\n")


if __name__ == "__main__":
    transformers.logging.set_verbosity_error()
    main(sys.argv[1])
