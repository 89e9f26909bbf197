"""PyTorch and transformers as a benchmark peer; see contestant.py for what it is asked and answers."""

import time

from contestant import once, serve, threads

import torch
import transformers

if threads:
    torch.set_num_threads(threads)
transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()


def build(model):
    """GPT-2 of the given size with random weights and no dropout, or the weights of a folder."""
    torch.manual_seed(0)
    if model.get("folder"):
        return transformers.AutoModelForCausalLM.from_pretrained(
            model["folder"], dtype=torch.float32, attn_implementation="sdpa")
    config = transformers.GPT2Config(
        n_layer=model["layers"], n_embd=model["width"], n_head=model["heads"], vocab_size=model["vocab"],
        n_positions=model["positions"], resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
        bos_token_id=0, eos_token_id=0)
    config._attn_implementation = "sdpa"
    return transformers.AutoModelForCausalLM.from_config(config)


@once
def trainer(model, mode, batch, tokens):
    network = build(model).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, fused=True)
    forward = torch.compile(network) if mode == "compile" else network
    ids = torch.randint(0, model["vocab"], (batch, tokens), generator=torch.Generator().manual_seed(1))

    def step():
        with torch.autocast("cpu", torch.bfloat16, enabled=mode == "bf16"):
            loss = forward(input_ids=ids, labels=ids, use_cache=False).loss
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        return loss

    step()
    step()
    return step


def train_step(request):
    """Seconds for one optimiser step: forward, backward, clipping to norm 1, fused AdamW."""
    step = trainer(request["model"], request["mode"], request["batch"], request["tokens"])
    steps = request["steps"]
    start = time.perf_counter()
    for _ in range(steps):
        loss = step()
    seconds = (time.perf_counter() - start) / steps
    return {"seconds": seconds, "loss": loss.item()}


@once
def generator(model, mode):
    network = build(model).eval()
    network.generation_config.eos_token_id = None
    return network


def generate(request):
    """Generated tokens per second of one whole `generate` call, prompt included, with the cache."""
    network = generator(request["model"], request["mode"])
    new, prompts = request["new_tokens"], request["batch"]
    samples = request.get("samples", 1)
    vocab = network.config.vocab_size
    ids = torch.randint(1, vocab, (prompts, request["prompt"]), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    options = dict(min_new_tokens=new, max_new_tokens=new, do_sample=request["sample"], num_return_sequences=samples,
                   pad_token_id=0)
    if request["sample"]:
        options |= dict(temperature=1.0, top_k=0, top_p=1.0)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=request["mode"] == "bf16"):
        start = time.perf_counter()
        out = network.generate(input_ids=ids, attention_mask=mask, **options)
        seconds = time.perf_counter() - start
    made = (out.shape[1] - ids.shape[1]) * out.shape[0]
    assert made == new * prompts * samples, (made, out.shape)
    return {"tokens_per_second": made / seconds, "seconds": seconds}


def matmul(request):
    """GFLOP/s of a chain of square products, as a yardstick for the machine."""
    n = request["size"]
    x, w = torch.randn(n, n), torch.randn(n, n) / n**0.5
    with torch.inference_mode():
        for chain in range(2):
            start = time.perf_counter()
            for _ in range(20):
                x = x @ w
            seconds = time.perf_counter() - start
    return {"gflops": 20 * 2 * n**3 / seconds / 1e9}


commands = {"train_step": train_step, "generate": generate, "matmul": matmul}


if __name__ == "__main__":
    serve(f"torch {torch.__version__}, transformers {transformers.__version__}", commands)
