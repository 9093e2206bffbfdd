"""PyTorch's attention beside attentionCost.ts: 8 heads of 64 in halves, a whole causal window and one query behind a cache.

python3 attentionCost.py FILE    appends one JSON line per length and mode
"""

import json
import sys

import torch
import torch.nn.functional as F

HEADS, DIM = 8, 64


def best_us(f):
    for _ in range(5):
        f()
    torch.cuda.synchronize()
    best = float("inf")
    for _ in range(5):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        for _ in range(20):
            f()
        end.record()
        torch.cuda.synchronize()
        best = min(best, start.elapsed_time(end) / 20 * 1e3)
    return best


def main():
    with open(sys.argv[1], "a") as out:
        for length in (1024, 2048, 4096, 8192, 16384, 32768):
            k, v = (torch.randn(1, HEADS, length, DIM, device="cuda", dtype=torch.half) for _ in "kv")
            for mode, rows in (("window", length), ("extend", 1)):
                q = torch.randn(1, HEADS, rows, DIM, device="cuda", dtype=torch.half)
                us = best_us(lambda: F.scaled_dot_product_attention(q, k, v, is_causal=rows > 1))
                line = {"kind": "PyTorch, dot product", "mode": mode, "length": length, "us": us, "lookup": us}
                out.write(json.dumps(line | {"device": torch.cuda.get_device_name()}) + "\n")


main()
