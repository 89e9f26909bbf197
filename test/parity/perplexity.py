"""Golden of perplexity: per-token negative log-likelihoods by transformers.

    python -P test/parity/perplexity.py      writes test/parity/golden/perplexity.json (needs the llama golden of models.py)

`windows`: ids of a text longer than the context, with the tiny random Llama of models.py. Windows of the context
length begin half of it apart, and every token counts in the first window that has it.
`text`: a short text with the model of ../shared/data/tinystories-656k and its tokenizer.
"""

import json
import pathlib

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

GOLDEN = pathlib.Path(__file__).parent / "golden"
STORIES = pathlib.Path(__file__).parents[3] / "shared" / "data" / "tinystories-656k"
TEXT = "Once upon a time, an old owl lived in a red tree.\nEvery night it sang to the moon, and the moon sang back."


def nll_of(model, ids, context):
    stride, out, counted = context // 2, [], 1
    for begin in range(0, len(ids), stride):
        end = min(len(ids), begin + context)
        window = torch.tensor([ids[begin:end]])
        with torch.no_grad():
            logprobs = model(window).logits.log_softmax(-1)[0]
        out += [-logprobs[at - 1 - begin, ids[at]].item() for at in range(counted, end)]
        counted = end
        if end == len(ids):
            return out


if __name__ == "__main__":
    model = AutoModelForCausalLM.from_pretrained(GOLDEN / "models" / "llama", dtype=torch.float32).eval()
    generator = torch.Generator().manual_seed(11)
    rows = []
    for length, context in [(53, 16), (16, 16), (17, 16), (7, 16), (40, 15)]:
        ids = torch.randint(0, model.config.vocab_size, (length,), generator=generator).tolist()
        rows.append({"context": context, "ids": ids, "nll": nll_of(model, ids, context)})
    stories = AutoModelForCausalLM.from_pretrained(STORIES, dtype=torch.float32).eval()
    ids = AutoTokenizer.from_pretrained(STORIES)(TEXT).input_ids
    text = {"text": TEXT, "ids": ids, "nll": nll_of(stories, ids, 512)}
    (GOLDEN / "perplexity.json").write_text(json.dumps({"windows": rows, "text": text}) + "\n")
    print([sum(r["nll"]) / len(r["nll"]) for r in [*rows, text]])
