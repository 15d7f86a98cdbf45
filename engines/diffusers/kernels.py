"""GPU kernels for what PyTorch does in several passes: normalise, add, activate, gate.

PyTorch's group norm knows only the layout with the channel outermost, so a network in the layout
that convolutions want copies its activations there and back around every norm. These kernels
work where the tensor lies, and do what follows the norm in the same pass.
"""

# ruff: noqa: ANN001, N803, PLR0917 - kernels take untyped pointers, and constants in capitals

from typing import Any

import torch
import triton
import triton.language as tl

_ROWS = 16
_CHANNELS = 128
_PIXELS_PER_CHUNK = 64
_MOST_CHUNKS = 512
_COLUMNS = 1024


@triton.jit  # type: ignore[untyped-decorator]
def _sum_chunks(  # type: ignore[no-untyped-def]  # noqa: ANN202
    x, add, sums, pixels, channels, chunks,
    HAS_ADD: tl.constexpr, SHARE: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """Sum values and squares over one chunk of pixels, per channel."""
    picture, chunk = tl.program_id(0), tl.program_id(1)
    channel = tl.program_id(2) * COLUMNS + tl.arange(0, COLUMNS)
    inside = channel < channels
    shift = tl.zeros((COLUMNS,), tl.float32)
    if HAS_ADD:
        shift = tl.load(add + picture * channels + channel, mask=inside, other=0.0).to(tl.float32)
    total = tl.zeros((COLUMNS,), tl.float32)
    squares = tl.zeros((COLUMNS,), tl.float32)
    for start in range(0, SHARE, ROWS):
        pixel = chunk * SHARE + start + tl.arange(0, ROWS)
        there = (pixel < tl.minimum((chunk + 1) * SHARE, pixels))[:, None] & inside[None, :]
        place = (picture.to(tl.int64) * pixels + pixel[:, None]) * channels + channel[None, :]
        value = tl.load(x + place, mask=there, other=0.0).to(tl.float32) + shift[None, :]
        value = tl.where(there, value, 0.0)
        total += tl.sum(value, 0)
        squares += tl.sum(value * value, 0)
    place = ((picture * chunks + chunk) * 2) * channels + channel
    tl.store(sums + place, total, mask=inside)
    tl.store(sums + place + channels, squares, mask=inside)


@triton.jit  # type: ignore[untyped-decorator]
def _settle(  # type: ignore[no-untyped-def]  # noqa: ANN202
    sums, add, weight, bias, factors, pixels, channels, width, chunks, eps,
    HAS_ADD: tl.constexpr, CHUNKS: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """Turn a group's sums into one factor and one offset per channel."""
    picture, group = tl.program_id(0), tl.program_id(1)
    lane = tl.arange(0, WIDTH)
    channel = group * width + lane
    inside = lane < width
    chunk = tl.arange(0, CHUNKS)
    there = (chunk < chunks)[:, None] & inside[None, :]
    place = ((picture * chunks + chunk[:, None]) * 2) * channels + channel[None, :]
    total = tl.sum(tl.sum(tl.load(sums + place, mask=there, other=0.0), 0), 0)
    squares = tl.sum(tl.sum(tl.load(sums + place + channels, mask=there, other=0.0), 0), 0)
    count = (pixels * width).to(tl.float32)
    mean = total / count
    scale = 1.0 / tl.sqrt(tl.maximum(squares / count - mean * mean, 0.0) + eps)
    factor = tl.load(weight + channel, mask=inside, other=0.0).to(tl.float32) * scale
    shift = -mean
    if HAS_ADD:
        shift += tl.load(add + picture * channels + channel, mask=inside, other=0.0).to(tl.float32)
    offset = tl.load(bias + channel, mask=inside, other=0.0).to(tl.float32) + shift * factor
    place = picture * 2 * channels + channel
    tl.store(factors + place, factor, mask=inside)
    tl.store(factors + place + channels, offset, mask=inside)


@triton.jit  # type: ignore[untyped-decorator]
def _apply(  # type: ignore[no-untyped-def]  # noqa: ANN202
    x, factors, y, pixels, channels,
    SILU: tl.constexpr, SHARE: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """Scale, shift and activate one chunk of pixels."""
    picture, chunk = tl.program_id(0), tl.program_id(1)
    channel = tl.program_id(2) * COLUMNS + tl.arange(0, COLUMNS)
    inside = channel < channels
    place = picture * 2 * channels + channel
    factor = tl.load(factors + place, mask=inside, other=0.0)
    offset = tl.load(factors + place + channels, mask=inside, other=0.0)
    for start in range(0, SHARE, ROWS):
        pixel = chunk * SHARE + start + tl.arange(0, ROWS)
        there = (pixel < tl.minimum((chunk + 1) * SHARE, pixels))[:, None] & inside[None, :]
        spot = (picture.to(tl.int64) * pixels + pixel[:, None]) * channels + channel[None, :]
        value = tl.load(x + spot, mask=there, other=0.0).to(tl.float32)
        value = value * factor[None, :] + offset[None, :]
        if SILU:
            value = value / (1.0 + tl.exp(-value))
        tl.store(y + spot, value, mask=there)


@triton.jit  # type: ignore[untyped-decorator]
def _gate(x, y, inner, COLUMNS: tl.constexpr):  # type: ignore[no-untyped-def]  # noqa: ANN202
    """Multiply the first half of a row by the Gaussian error gate of the second."""
    row = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    inside = column < inner
    value = tl.load(x + row * 2 * inner + column, mask=inside, other=0.0).to(tl.float32)
    gate = tl.load(x + row * 2 * inner + inner + column, mask=inside, other=0.0).to(tl.float32)
    opened = 0.5 * gate * (1.0 + tl.erf(gate * 0.7071067811865476))
    tl.store(y + row * inner + column, value * opened, mask=inside)


def normalise(
    x: torch.Tensor, norm: torch.nn.GroupNorm, *, add: torch.Tensor | None = None, silu: bool
) -> torch.Tensor:
    """Return SiLU(norm(x + add)) or norm(x + add), in the layout with the channel innermost.

    Args:
        x: pictures x channels x height x width, channel innermost in memory.
        norm: Has the number of groups, weight, bias and epsilon.
        add: pictures x channels, added to every pixel first.
        silu: Whether to activate.
    """
    pictures, channels, height, width = x.shape
    pixels = height * width
    chunks = min(_MOST_CHUNKS, triton.cdiv(pixels, _PIXELS_PER_CHUNK))
    share = triton.cdiv(triton.cdiv(pixels, chunks), _ROWS) * _ROWS
    columns = min(_CHANNELS, triton.next_power_of_2(channels))
    grid = (pictures, chunks, triton.cdiv(channels, columns))
    sums = torch.empty((pictures, chunks, 2, channels), dtype=torch.float32, device=x.device)
    factors = torch.empty((pictures, 2, channels), dtype=torch.float32, device=x.device)
    y = torch.empty_like(x)
    added = x if add is None else add.contiguous()
    wide = channels // norm.num_groups
    tile: dict[str, Any] = {"SHARE": share, "ROWS": _ROWS, "COLUMNS": columns}
    _sum_chunks[grid](x, added, sums, pixels, channels, chunks, HAS_ADD=add is not None, **tile)
    _settle[(pictures, norm.num_groups)](
        sums, added, norm.weight, norm.bias, factors, pixels, channels, wide, chunks, norm.eps,
        HAS_ADD=add is not None,
        CHUNKS=triton.next_power_of_2(chunks),
        WIDTH=triton.next_power_of_2(wide),
    )  # fmt: skip
    _apply[grid](x, factors, y, pixels, channels, SILU=silu, **tile)
    return y


def gate(x: torch.Tensor) -> torch.Tensor:
    """Return GEGLU of rows whose second half is the gate."""
    inner = x.shape[-1] // 2
    x = x.contiguous()
    y = torch.empty((*x.shape[:-1], inner), dtype=x.dtype, device=x.device)
    rows = y.numel() // inner
    _gate[(rows, triton.cdiv(inner, _COLUMNS))](x, y, inner, COLUMNS=_COLUMNS)
    return y
