"""Trains the exported network on a folder, on any number of GPUs:

  torchrun --standalone --nproc-per-node=8 train.py --workspace FOLDER --bytes 39e6 --out trained.safetensors
  narrowgauge import --model MODEL --weights trained.safetensors

Goes on from the weights beside this file. Windows, loss, optimizers, schedule and averaging are Narrowgauge's own (but
a rising batch, renamed identifiers and dependencies are not made here); activations are bfloat16 on GPUs. What language servers know is not known here, and the result says so: a model that
imports it works without facts.
"""

import argparse
import math
import os
import random
import time
from pathlib import Path

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, IterableDataset

from model import NONE, cut_patches, load_model, write_safetensors

BOS, PATH_END, SUF, PRE, EOM, EOF = range(256, 262)
SKIP = -100
MAX_PATH_BYTES = 96
MAX_MIDDLE_BYTES = 96
SUFFIX_SHARE = 0.25
# Folders that hold no source of one's own.
LEFT_OUT = {".git", "node_modules", "dist", "build", "__pycache__", ".venv"}
MAX_FILE_BYTES = 1 << 18


def read_files(root: Path) -> list[tuple[bytes, bytes]]:
    """(path, content) of the text files below a folder, in path order."""
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in LEFT_OUT)
        for path in (Path(folder, name) for name in sorted(names)):
            if path.is_symlink() or not 0 < path.stat().st_size <= MAX_FILE_BYTES:
                continue
            content = path.read_bytes()
            if b"\0" not in content:
                found.append((path.relative_to(root).as_posix().encode()[-MAX_PATH_BYTES:], content))
    return found


class Windows(IterableDataset):
    """Endless windows of N symbols: BOS path PATH_END content EOF from anywhere on, some as fill-in-the-middle."""

    def __init__(self, c, files, seed: int):
        self.c, self.files, self.seed = c, files, seed
        self.lengths = [len(path) + len(content) + 3 for path, content in files]

    def __iter__(self):
        worker = torch.utils.data.get_worker_info()
        draw = random.Random(f"{self.seed} {0 if worker is None else worker.id}")
        order = list(range(len(self.files)))
        while True:
            draw.shuffle(order)
            for start in draw.choices(range(len(order)), [self.lengths[i] for i in order], k=len(order)):
                yield self.window(draw, order, start)

    def window(self, draw, order, start: int):
        n = self.c.context + 1
        symbols: list[int] = []
        scored: list[bool] = []

        def put(some, score: bool) -> None:
            symbols.extend(some)
            scored.extend([score] * len(some))

        path, content = self.files[order[start]]
        skip = draw.randrange(self.lengths[order[start]])
        if draw.random() < self.c.fimRate and len(content) > 2:
            first = draw.randrange(len(content))
            line = content.find(b"\n", first)
            line_end = (len(content) if line < 0 else line) - first
            middle = line_end if draw.random() < 0.5 else 1 + draw.randrange(MAX_MIDDLE_BYTES)
            last = first + min(len(content) - first, middle, MAX_MIDDLE_BYTES)
            room = n - len(path) - 5
            suffix = min(len(content) - last, draw.randrange(int(room * SUFFIX_SHARE) + 1))
            prefix = max(0, min(first, room - suffix - (last - first)))
            put([BOS, *path, PATH_END, SUF, *content[last : last + suffix], PRE], False)
            put([*content[first - prefix : last], EOM], True)
            start, skip = start + 1, 0
        while len(symbols) < n:
            path, content = self.files[order[start % len(order)]]
            header = [BOS, *path, PATH_END]
            put(header[skip:], False)
            put([*content[max(0, skip - len(header)) :][:n], EOF], True)
            start, skip = start + 1, 0

        ends, newest = cut_patches(self.c, symbols[: n - 1])
        ids = torch.full((n - 1, self.c.idChannels), NONE)
        ids[:, 0] = torch.tensor(symbols[: n - 1])
        targets = [s if score else SKIP for s, score in zip(symbols[1:n], scored[1:n])]
        return ids, torch.tensor(ends), torch.tensor(newest), torch.tensor(targets)


def ahead_targets(targets: torch.Tensor, heads: int) -> torch.Tensor:
    """[B, N, heads]: the symbols behind the next one, as far as all up to there are scored."""
    scored = targets != SKIP
    found = []
    for j in range(1, heads + 1):
        later = F.pad(targets[:, j:], (0, j), value=SKIP)
        scored = scored & (later != SKIP)
        found.append(later.masked_fill(~scored, SKIP))
    return torch.stack(found, -1)


class Muon(torch.optim.Optimizer):
    """Momentum, then an approximate orthogonalization by five Newton-Schulz iterations, then a step with decay."""

    def __init__(self, params, lr: float, decay: float):
        super().__init__(params, dict(lr=lr, decay=decay))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for shape in {p.shape for p in group["params"]}:
                alike = [p for p in group["params"] if p.shape == shape]
                grads = torch.stack([p.grad for p in alike])
                state = self.state[alike[0]]
                momentum = state.setdefault("momentum", torch.zeros_like(grads))
                momentum.mul_(0.95).add_(grads)
                x = (grads + 0.95 * momentum).bfloat16()
                tall = shape[0] > shape[1]
                x = x.mT if tall else x
                x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
                for _ in range(5):
                    gram = x @ x.mT
                    x = 3.4445 * x + (-4.775 * gram + 2.0315 * gram @ gram) @ x
                x = (x.mT if tall else x).float() * max(1, shape[1] / shape[0]) ** 0.5
                for p, update in zip(alike, x):
                    p.mul_(1 - group["lr"] * group["decay"]).sub_(group["lr"] * update)


def learning_rate_factor(c, step: int, done: float) -> float:
    """Warm-up, flat, down to a floor."""
    warm = min(1, (step + 1) / max(1, c.warmupSteps))
    if done < c.cooldownFrom:
        return warm
    left = (1 - done) / (1 - c.cooldownFrom)
    forms = {"linear": left, "cosine": (1 - math.cos(math.pi * left)) / 2, "sqrt": 1 - math.sqrt(1 - left)}
    return warm * max(0.02, forms[c.cooldown])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workspace", type=Path, required=True, help="folder to learn from")
    parser.add_argument("--out", type=Path, required=True, help="safetensors file to write")
    parser.add_argument("--bytes", type=float, required=True, help="how many bytes to train on, over all GPUs")
    parser.add_argument("--batch", type=int, help="windows per GPU and step; default: the model's")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2, help="processes per GPU that cut windows")
    parser.add_argument("--compile", action="store_true")
    o = parser.parse_args()

    cuda = torch.cuda.is_available()
    dist.init_process_group("nccl" if cuda else "gloo")
    rank, world = dist.get_rank(), dist.get_world_size()
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"])) if cuda else torch.device("cpu")
    if cuda:
        torch.cuda.set_device(device)

    model = load_model(Path(__file__).parent).to(device)
    c = model.c
    named = {name: p for name, p in model.named_parameters() if p.requires_grad}
    averaged = {name: p.detach().clone() for name, p in model.state_dict().items()}
    wrapped = DistributedDataParallel(model, device_ids=[device] if cuda else None)
    step_model = torch.compile(wrapped) if o.compile else wrapped
    matrices = set(c.muon)
    muon = Muon([p for name, p in named.items() if name in matrices], c.muonRate, c.weightDecay)
    adam = torch.optim.Adam([p for name, p in named.items() if name not in matrices], c.adamRate, (0.9, 0.95), 1e-8)

    files = read_files(o.workspace)
    if not files:
        raise SystemExit(f"there is nothing to train on in {o.workspace}")
    batch = o.batch or c.batch
    windows = Windows(c, files, o.seed * world + rank)
    batches = iter(DataLoader(windows, batch, num_workers=o.workers, pin_memory=cuda))
    steps = max(1, round(o.bytes / (batch * world * c.context)))
    heads = c.aheadBytes - 1 if c.aheadWeight > 0 else 0
    started = time.time()
    for step in range(steps):
        ids, ends, newest, targets = (t.to(device, non_blocking=True) for t in next(batches))
        with torch.autocast(device.type, torch.bfloat16, enabled=cuda):
            out = step_model(ids, ends, newest, heads > 0)
        logits = out[0] if heads > 0 else out
        loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=SKIP)
        whole = loss
        if heads > 0:
            ahead = F.cross_entropy(out[1].flatten(0, 2), ahead_targets(targets, heads).flatten(), ignore_index=SKIP)
            whole = loss + c.aheadWeight * ahead
        whole.backward()
        factor = learning_rate_factor(c, step, step / steps)
        for optimizer, rate in ((muon, c.muonRate), (adam, c.adamRate)):
            for group in optimizer.param_groups:
                group["lr"] = rate * factor
            optimizer.step()
            optimizer.zero_grad()
        # The first averages would be dominated by the start values.
        keep = min(c.emaDecay, (1 + step) / (10 + step))
        with torch.no_grad():
            torch._foreach_lerp_([averaged[name] for name in named], list(named.values()), 1 - keep)
        if rank == 0 and (step % 10 == 0 or step == steps - 1):
            bits = loss.item() / math.log(2)
            rate = (step + 1) * batch * world * c.context / (time.time() - started)
            print(f"step {step + 1}/{steps}  {bits:.4f} bits per byte  {rate / 1e6:.2f} MB/s", flush=True)
    if rank == 0:
        seen = steps * batch * world * c.context
        write_safetensors(o.out, averaged, {"format": "narrowgauge", "facts": "off", "bytes": str(seen)})
        print(f"wrote {o.out}")
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
