"""What the TRL peers share: their arguments, and seconds for an update from the stamps of a callback."""

import time

import transformers

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()

# The fastest sensible settings on a CPU: single precision, nothing recomputed, nothing logged, saved or evaluated.
arguments = dict(
    use_cpu=True, bf16=False, fp16=False, gradient_checkpointing=False, logging_strategy="no", save_strategy="no",
    eval_strategy="no", report_to="none", disable_tqdm=True, dataloader_num_workers=0, dataloader_pin_memory=False,
    lr_scheduler_type="constant", max_grad_norm=1.0, seed=0)


class Stamps(transformers.TrainerCallback):
    """When each update ended; the first `warmup` of them only set the clock."""

    def __init__(self):
        self.times = []

    def on_train_begin(self, *_, **__):
        self.times.clear()

    def on_step_end(self, *_, **__):
        self.times.append(time.perf_counter())

    def seconds(self, warmup):
        """Mean seconds of the updates after the first `warmup`."""
        return (self.times[-1] - self.times[warmup - 1]) / (len(self.times) - warmup)
