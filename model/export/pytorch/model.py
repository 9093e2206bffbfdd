"""The network of a Narrowgauge model in PyTorch, with the weights' own names and shapes ([in, out], so y = x @ w).

Bytes and facts -> local layers -> a trunk over patches -> local layers -> the next byte at every position. What is
unusual here:
  - no tokenizer: a rule cuts patches after words and at line ends, and the trunk runs once per patch;
  - topological attention ("tau"): a key is a few scalars per head, a score is minus a one-dimensional distance;
  - go-mHC residuals: several streams, mixed per patch by matrices that are doubly stochastic by construction.
Papers: Tauformer, sections 3.1 and 3.2 (taumode, tau attention); go-mHC, arXiv 2604.02309; SpaceByte, arXiv 2404.14408.

`python model.py` checks this file against the logits that Narrowgauge itself gave (check.safetensors).
`python train.py --help` trains; `narrowgauge import` brings the weights back.
"""

import itertools
import json
import math
import struct
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EPS = 1e-6
NONE = -1  # no embedding row, no patch


def load_config(folder: Path) -> SimpleNamespace:
    """Everything the network's shape depends on, as `narrowgauge export` wrote it."""
    return SimpleNamespace(**json.loads((folder / "config.json").read_text()))


def matrix(*shape: int) -> nn.Parameter:
    """A parameter without a start value: `load_weights` fills all of them."""
    return nn.Parameter(torch.zeros(*shape))


def rms(x: Tensor) -> Tensor:
    """Unit mean square over the last dimension; no learned gain."""
    return x * torch.rsqrt(x.float().square().mean(-1, keepdim=True) + EPS)


def rows_at(x: Tensor, index: Tensor) -> Tensor:
    """x [B, n, C], index [B, k] -> [B, k, C]; zeros where the index is NONE."""
    found = x.gather(1, index.clamp(min=0)[..., None].expand(-1, -1, x.shape[-1]))
    return found * (index != NONE)[..., None]


# ---------------------------------------------------------------- patches


def is_word(symbol: int) -> bool:
    """Letters, digits, _ and $, and every byte of a non-ASCII character."""
    return 97 <= symbol <= 122 or 65 <= symbol <= 90 or 48 <= symbol <= 57 or symbol in (95, 36) or 128 <= symbol <= 255


def patch_capacity(c: SimpleNamespace, n: int) -> int:
    """Patches that n symbols may need at most."""
    if c.patching == "flat":
        return n
    if c.patching == "stride":
        return math.ceil(n / c.stride) + 1
    return min(n, math.ceil(n / c.minBytesPerPatch) + c.patchBurst)


def cut_patches(c: SimpleNamespace, symbols: list[int]) -> tuple[list[int], list[int]]:
    """Ends [patches] of the patches (NONE behind the last), and the newest patch [n] that each symbol may see.

    A symbol that ends a patch sees it: the trunk has read up to and including that symbol. The rule never looks ahead,
    and a leaky bucket bounds the number of patches."""
    capacity = patch_capacity(c, len(symbols))
    ends: list[int] = []
    newest: list[int] = []
    last, bucket, in_word = -1, float(c.patchBurst), False
    for t, symbol in enumerate(symbols):
        if c.patching == "flat":
            cut = True
        elif c.patching == "stride":
            cut = t % c.stride == 0
        else:
            word = is_word(symbol)
            bucket = min(c.patchBurst, bucket + 1 / c.minBytesPerPatch)
            wanted = t == 0 or (in_word and not word) or symbol == 10 or symbol > 255 or t - last >= c.maxPatchBytes
            in_word = word
            cut = wanted and bucket >= 1
            if cut:
                bucket -= 1
                last = t
        if cut and len(ends) < capacity:
            ends.append(t)
        newest.append(len(ends) - 1)
    return ends + [NONE] * (capacity - len(ends)), newest


# ---------------------------------------------------------------- attention


class Attention(nn.Module):
    """Causal attention over x [B, T, C], already normalized. A kind of attention says what `scores` are."""

    def __init__(self, c: SimpleNamespace, channels: int, heads: int, window: int):
        super().__init__()
        self.c, self.heads, self.window = c, heads, window  # window: positions a query sees, 0 = all
        self.value, self.out = matrix(channels, channels), matrix(channels, channels)

    def scores(self, x: Tensor, distance: Tensor) -> Tensor:
        """[B, H, T queries, T keys] in f32; distance [T, T] = query position - key position."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        B, T, C = x.shape
        position = torch.arange(T, device=x.device)
        distance = position[:, None] - position
        seen = distance >= 0
        if self.window > 0:
            seen = seen & (distance < self.window)
        weights = self.scores(x, distance).masked_fill(~seen, float("-inf")).softmax(-1)
        v = (x @ self.value).view(B, T, self.heads, -1).transpose(1, 2)
        return (weights.to(v.dtype) @ v).transpose(1, 2).reshape(B, T, C) @ self.out


def shifted(x: Tensor, mix: Tensor) -> Tensor:
    """Keys read a learned mix [3, C] of the last three inputs, per channel."""
    before = F.pad(x, (0, 0, 2, 0))
    T = x.shape[1]
    return mix[0] * x + mix[1] * before[:, 1 : T + 1] + mix[2] * before[:, :T]


class TauAttention(Attention):
    """Scores are -sum |a - b| over m scalars per head, plus the key's salience, minus slope times distance.

    Tied heads use one map for queries and keys, and compare band energies; free heads compare signed coordinates."""

    def __init__(self, c: SimpleNamespace, channels: int, heads: int, window: int, bands: int | None = None):
        super().__init__(c, channels, heads, window)
        self.bands = bands or (window and c.localBands) or c.bands
        self.tied_heads = math.floor(heads * c.tiedHeads + 0.5)
        self.free_heads = heads - self.tied_heads
        self.keyShift, self.slope = matrix(3, channels), matrix(heads)
        if self.tied_heads > 0:
            self.tied = matrix(channels, self.tied_heads * c.energyChannels)
            self.spectrum = nn.Parameter(torch.zeros(self.tied_heads, c.energyChannels), c.spectrum == "learned")
            self.tiedGain = matrix(self.tied_heads, self.bands)
        if self.free_heads > 0:
            self.query = matrix(channels, self.free_heads * self.bands)
            self.key = matrix(channels, self.free_heads * self.bands)
            self.freeGain = matrix(self.free_heads, self.bands)
        self.salience = matrix(channels, heads)

    def scalars(self, x: Tensor, free_map: str) -> Tensor:
        """[B, H, m, T]: what queries (or, of shifted inputs, keys) are compared by."""
        B, T, _ = x.shape
        m = self.bands
        parts = []
        if self.tied_heads > 0:
            squares = (x @ self.tied).float().view(B, T, self.tied_heads, -1).square()
            banded = (F.softplus(self.spectrum) * squares).view(B, T, self.tied_heads, m, -1).sum(-1)
            energy = banded / (squares.sum(-1, keepdim=True) + EPS)
            gain = F.softplus(self.tiedGain) * self.c.tiedGainScale
            parts.append(gain * energy / (energy + self.c.tau))
        if self.free_heads > 0:
            coordinates = (x @ getattr(self, free_map)).float().view(B, T, self.free_heads, m)
            parts.append(F.softplus(self.freeGain) * coordinates)
        return torch.cat(parts, 2).permute(0, 2, 3, 1)

    def similarity(self, a: Tensor, b: Tensor) -> Tensor:
        """[B, H, T, T] of scalars of queries and of keys."""
        return -sum((a[:, :, k, :, None] - b[:, :, k, None, :]).abs() for k in range(self.bands))

    def scores(self, x: Tensor, distance: Tensor) -> Tensor:
        keys = shifted(x, self.keyShift)
        a, b = self.scalars(x, "query"), self.scalars(keys, "key")
        cap = self.c.salienceCap
        salience = cap * torch.tanh((keys @ self.salience).float() / cap)  # [B, T, H]
        slope = F.softplus(self.slope)[:, None, None]
        return self.similarity(a, b) + salience.transpose(1, 2)[:, :, None, :] - slope * distance


class GridAttention(TauAttention):
    """One scalar per head, placed in [0, 1]; e^(-|a - b| / T) as 64 grid points carry it.

    Narrowgauge computes this in time linear in the window; here it is written pair by pair, the same kernel."""

    def __init__(self, c: SimpleNamespace, channels: int, heads: int, window: int):
        super().__init__(c, channels, heads, window, bands=1)
        self.offset, self.heat = matrix(heads), matrix(heads)

    def similarity(self, a: Tensor, b: Tensor) -> Tensor:
        cells = self.c.gridPoints - 1
        T = (self.c.coldest + F.softplus(self.heat))[:, None]
        d = 1 / (cells * T)  # distance of grid points over T

        def place(x: Tensor) -> tuple[Tensor, ...]:
            z = (x[:, :, 0] - self.offset[:, None]).sigmoid()  # [B, H, T]
            cell = (z * cells).floor().clamp(0, cells - 1)
            above = (z * cells - cell) * d
            return z, cell, torch.sinh(d - above) / torch.sinh(d), torch.sinh(above) / torch.sinh(d)

        za, cell_a, low_a, high_a = (t[..., :, None] for t in place(a))
        zb, cell_b, low_b, high_b = (t[..., None, :] for t in place(b))
        # Two scalars of one cell meet through both of its grid points.
        within = low_a * low_b + high_a * high_b + torch.exp(-d)[..., None] * (low_a * high_b + high_a * low_b)
        return torch.where(cell_a == cell_b, within.log(), -(za - zb).abs() / T[..., None])


def rotated(x: Tensor, heads: int, base: float) -> Tensor:
    """Rotary positions on half-split pairs, then unit mean square per head: [B, T, C] -> [B, T, H, D]."""
    B, T, C = x.shape
    left, right = x.float().view(B, T, heads, -1).chunk(2, -1)
    half = left.shape[-1]
    frequency = base ** (-torch.arange(half, device=x.device) / half)
    angle = torch.arange(T, device=x.device)[:, None, None] * frequency
    cos, sin = angle.cos(), angle.sin()
    return rms(torch.cat([left * cos + right * sin, right * cos - left * sin], -1))


class DotAttention(Attention):
    """The plain control: RoPE, normalized queries and keys, key shift."""

    def __init__(self, c: SimpleNamespace, channels: int, heads: int, window: int):
        super().__init__(c, channels, heads, window)
        self.query, self.key = matrix(channels, channels), matrix(channels, channels)
        self.keyShift = matrix(3, channels)

    def scores(self, x: Tensor, distance: Tensor) -> Tensor:
        q = rotated(x @ self.query, self.heads, self.c.ropeBase)
        k = rotated(shifted(x, self.keyShift) @ self.key, self.heads, self.c.ropeBase)
        return q.transpose(1, 2) @ k.permute(0, 2, 3, 1) / math.sqrt(q.shape[-1])


class PublishedAttention(Attention):
    """The Tauformer's own form: RoPE, one bounded Rayleigh energy per head under a fixed Laplacian, no more."""

    def __init__(self, c: SimpleNamespace, channels: int, heads: int, window: int):
        super().__init__(c, channels, heads, window)
        self.query, self.key = matrix(channels, channels), matrix(channels, channels)
        D = channels // heads
        self.register_buffer("basis", torch.zeros(D, D))
        self.register_buffer("spectrum", torch.zeros(heads, D))

    def energy(self, x: Tensor) -> Tensor:
        squares = (rotated(x, self.heads, self.c.ropeBase) @ self.basis).square()  # [B, T, H, D]
        e = (self.spectrum * squares).sum(-1) / (squares.sum(-1) + EPS)
        return (e / (e + self.c.tau)).transpose(1, 2)

    def scores(self, x: Tensor, distance: Tensor) -> Tensor:
        q, k = self.energy(x @ self.query), self.energy(x @ self.key)
        return -(q[..., :, None] - k[..., None, :]).abs()


ATTENTIONS = {"tau": TauAttention, "grid": GridAttention, "dot": DotAttention, "published": PublishedAttention}


# ---------------------------------------------------------------- layers


class FeedForward(nn.Module):
    """Up, squared ReLU, down; x is already normalized."""

    def __init__(self, channels: int):
        super().__init__()
        self.up, self.down = matrix(channels, 4 * channels), matrix(4 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x @ self.up).square() @ self.down


# Ways to doubly stochastic [..., S, S] from logits [..., K]; `mixing_logits` says how many each takes.


def go_mhc(c: SimpleNamespace, logits: Tensor) -> Tensor:
    """Skew matrix, Cayley transform, means of squared blocks."""
    S, O = c.streams, c.mixingBlock
    n = S * O
    rows, columns = torch.triu_indices(n, n, 1, device=logits.device)
    upper = logits.new_zeros(*logits.shape[:-1], n, n)
    upper[..., rows, columns] = logits
    skew = upper - upper.transpose(-1, -2)
    one = torch.eye(n, device=logits.device)
    orthogonal = torch.linalg.solve(one + skew, one - skew)
    return orthogonal.square().unflatten(-1, (S, O)).unflatten(-3, (S, O)).sum((-3, -1)) / O


def sinkhorn(c: SimpleNamespace, logits: Tensor) -> Tensor:
    """Columns and then rows divided by their sums, a fixed number of times: nearly doubly stochastic."""
    log = logits.clamp(-c.sinkhornRange, c.sinkhornRange).unflatten(-1, (c.streams, c.streams))
    for _ in range(c.sinkhornSteps):
        log = log - log.logsumexp(-2, keepdim=True)
        log = log - log.logsumexp(-1, keepdim=True)
    return log.exp()


def kronecker(c: SimpleNamespace, logits: Tensor) -> Tensor:
    """The Kronecker product of doubly stochastic 2 x 2 matrices, that of the index's highest bit first."""
    mix = logits.new_ones(*logits.shape[:-1], 1, 1)
    for pair in logits.unflatten(-1, (-1, 2)).unbind(-2):
        keep, flip = pair.softmax(-1).unbind(-1)
        factor = torch.stack([torch.stack([keep, flip], -1), torch.stack([flip, keep], -1)], -2)
        mix = (mix[..., :, None, :, None] * factor[..., None, :, None, :]).flatten(-4, -3).flatten(-2)
    return mix


def permutation(c: SimpleNamespace, logits: Tensor) -> Tensor:
    """A mixture of all permutation matrices, in the dictionary's order."""
    orders = list(itertools.permutations(range(c.streams)))
    matrices = torch.eye(c.streams, device=logits.device)[orders]
    return (logits.softmax(-1) @ matrices.flatten(1)).unflatten(-1, (c.streams, c.streams))


MIXINGS = {"goMhc": go_mhc, "sinkhorn": sinkhorn, "kronecker": kronecker, "permutation": permutation}


def mixing_logits(c: SimpleNamespace) -> int:
    S, n = c.streams, c.streams * c.mixingBlock
    return {
        "goMhc": n * (n - 1) // 2,
        "sinkhorn": S * S,
        "kronecker": 2 * int(math.log2(S)),
        "permutation": math.factorial(S),
    }[c.residual]


class StreamResidual(nn.Module):
    """x [B, T, S, C] -> mix x + write f(norm(read x)); all three depend on x."""

    def __init__(self, c: SimpleNamespace, channels: int):
        super().__init__()
        self.c = c
        self.parts = [c.streams, c.streams, mixing_logits(c)]  # reading, writing, mixing; alpha has a gain for each
        self.phi = matrix(c.streams * channels, sum(self.parts))
        self.alpha, self.bias = matrix(3), matrix(sum(self.parts))

    def forward(self, x: Tensor, f: Callable[[Tensor], Tensor]) -> Tensor:
        gain = torch.cat([self.alpha[i].expand(n) for i, n in enumerate(self.parts)])
        flat = x.flatten(-2)
        norm = torch.rsqrt(flat.float().square().mean(-1, keepdim=True) + EPS)
        read, write, mixing = (gain * norm * (flat @ self.phi).float() + self.bias).split(self.parts, -1)
        inner = f(rms((read.sigmoid()[..., None] * x).sum(-2)))
        mix = MIXINGS[self.c.residual](self.c, mixing).to(x.dtype)
        return mix @ x + 2 * write.sigmoid()[..., None] * inner[..., None, :]


class PlainResidual(nn.Module):
    """x [B, T, C] -> x + f(norm(x))."""

    def forward(self, x: Tensor, f: Callable[[Tensor], Tensor]) -> Tensor:
        return x + f(rms(x))


class Layer(nn.Module):
    """Attention and feed-forward. Local layers see a window, and have plain residuals and exact attention."""

    def __init__(self, c: SimpleNamespace, local: bool):
        super().__init__()
        channels, heads = (c.localChannels, c.localHeads) if local else (c.trunkChannels, c.trunkHeads)
        kind = "tau" if local and c.attention == "grid" else c.attention
        streams = not local and c.residual != "plain"
        connect = (lambda: StreamResidual(c, channels)) if streams else PlainResidual
        self.attentionResidual, self.feedForwardResidual = connect(), connect()
        self.attention = ATTENTIONS[kind](c, channels, heads, c.localWindow if local else 0)
        self.feedForward = FeedForward(channels)

        self.dropout = c.dropout

    def forward(self, x: Tensor) -> Tensor:
        for residual, sublayer in (
            (self.attentionResidual, self.attention),
            (self.feedForwardResidual, self.feedForward),
        ):
            x = residual(x, lambda h, f=sublayer: F.dropout(f(h), self.dropout, self.training))
        return x


class Narrowgauge(nn.Module):
    def __init__(self, c: SimpleNamespace):
        super().__init__()
        self.c = c
        self.embed = matrix(c.embeddingRows, c.localChannels)
        self.encoder = nn.ModuleList(Layer(c, local=True) for _ in range(c.encoderLayers))
        self.pool = matrix(c.localChannels, c.trunkChannels)
        self.trunk = nn.ModuleList(Layer(c, local=False) for _ in range(c.trunkLayers))
        self.unpool = matrix(c.trunkChannels, c.localChannels)
        self.decoder = nn.ModuleList(Layer(c, local=True) for _ in range(c.decoderLayers))
        self.unembed = matrix(c.localChannels, c.vocab)
        if c.aheadWeight > 0:
            self.ahead = matrix(c.localChannels, (c.aheadBytes - 1) * c.vocab)

    def forward(self, ids: Tensor, ends: Tensor, newest: Tensor, further: bool = False) -> Tensor | tuple[Tensor, ...]:
        """Logits [B, N, V] of the symbol behind each position; with `further`, which only training asks for, also those
        [B, N, heads, V] of the symbols behind that one.

        ids [B, N, 1 + facts]: rows of the embedding table, the symbol's and its facts', NONE where nothing is known;
        ends [B, patches]: the position that ends each patch, or NONE; newest [B, N]: the newest patch each one sees."""
        x = rms(sum(F.embedding(i.clamp(min=0), self.embed) * (i != NONE)[..., None] for i in ids.unbind(-1)))
        for layer in self.encoder:
            x = layer(x)
        # Each patch starts from the encoder's state at the byte that ends it.
        p = rms(rows_at(rms(x), ends) @ self.pool)
        if self.c.residual != "plain":
            p = p[..., None, :].expand(-1, -1, self.c.streams, -1)
        for layer in self.trunk:
            p = layer(p)
        if self.c.residual != "plain":
            p = p.mean(-2)
        # Every byte adds the newest patch's state that it may see.
        x = x + rows_at(rms(p) @ self.unpool, newest)
        for layer in self.decoder:
            x = layer(x)
        state = rms(x)
        logits = self.capped(state @ self.unembed)
        return (logits, self.capped(state @ self.ahead).unflatten(-1, (-1, self.c.vocab))) if further else logits

    def capped(self, logits: Tensor) -> Tensor:
        return self.c.logitCap * torch.tanh(logits.float() / self.c.logitCap)


# ---------------------------------------------------------------- safetensors

DTYPES = {"F32": torch.float32, "I32": torch.int32}


def read_safetensors(path: Path) -> dict[str, Tensor]:
    data = bytearray(path.read_bytes())
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        first, last = (8 + length + at for at in entry["data_offsets"])
        tensors[name] = torch.frombuffer(data[first:last], dtype=DTYPES[entry["dtype"]]).view(entry["shape"])
    return tensors


def write_safetensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Every tensor as F32. Appears complete or not at all."""
    header: dict[str, object] = {"__metadata__": metadata}
    body = []
    at = 0
    for name, tensor in tensors.items():
        body.append(tensor.detach().float().cpu().contiguous().numpy().tobytes())
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [at, at + len(body[-1])]}
        at += len(body[-1])
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    draft = path.with_suffix(".partial")
    draft.write_bytes(b"".join([struct.pack("<Q", len(text)), text, *body]))
    draft.replace(path)


def load_model(folder: Path) -> Narrowgauge:
    model = Narrowgauge(load_config(folder))
    model.load_state_dict(read_safetensors(folder / "weights.safetensors"), strict=True)
    return model


def check(folder: Path, device: str) -> float:
    """Largest difference from the logits that Narrowgauge gave for the same windows."""
    want = {name: tensor.to(device) for name, tensor in read_safetensors(folder / "check.safetensors").items()}
    model = load_model(folder).to(device).eval()
    with torch.no_grad():
        logits = model(*(want[name].long() for name in ("ids", "ends", "newest")))
    c = model.c
    for window, mapped in zip(want["ids"][..., 0].tolist(), want["newest"].tolist()):
        assert cut_patches(c, window)[1] == mapped, "the patch rule differs"
    return (logits - want["logits"]).abs().max().item()


if __name__ == "__main__":
    TOLERANCE = 1e-3
    for device in ["cpu"] + (["cuda"] if torch.cuda.is_available() else []):
        difference = check(Path(__file__).parent, device)
        print(f"{device}: logits differ by at most {difference:.2e}")
        if not difference < TOLERANCE:
            raise SystemExit(f"that is more than {TOLERANCE}")
