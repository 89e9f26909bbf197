"""What every Python peer shares: one JSON command a line on standard input, one JSON answer a line.

    {"id": 1, "command": "train_step", "model": {...}, "tokens": 256, "batch": 4, "mode": "eager", "steps": 3}
    {"id": 1, "result": {"seconds": 6.4, "peak_rss": 3990000000}}

Between commands a peer blocks on standard input, so that it takes no processor time while others are measured.
Import this before torch: it sets the number of threads, and keeps what libraries print off standard output.
"""

import contextlib
import json
import os
import sys
import traceback

threads = int(os.environ.get("ATTUNE_BENCH_THREADS", "0"))
if threads:
    os.environ["OMP_NUM_THREADS"] = str(threads)

answers = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)  # whatever libraries print goes to standard error


def peak_rss():
    """The highest resident memory of this process so far, in bytes."""
    with contextlib.suppress(OSError):
        for line in open("/proc/self/status"):
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def once(make):
    """Keeps the last thing made, so that the runs of one case share a model and two cases never share the memory."""
    kept = {}

    def get(*key_parts):
        key = json.dumps(key_parts, sort_keys=True)
        if key not in kept:
            kept.clear()
            kept[key] = make(*key_parts)
        return kept[key]

    return get


def serve(ready, commands):
    """Answers commands until standard input ends."""

    def say(message):
        answers.write(json.dumps(message) + "\n")

    say({"ready": ready, "commands": list(commands)})
    for line in sys.stdin:
        request = json.loads(line)
        try:
            result = commands[request["command"]](request)
            say({"id": request["id"], "result": {**result, "peak_rss": peak_rss()}})
        except Exception as error:
            traceback.print_exc()
            say({"id": request["id"], "error": f"{type(error).__name__}: {error}"[:2000]})
