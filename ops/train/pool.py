"""Pools: thousands of drawn scenes of one size, rendered once and kept on the device."""

# ruff: noqa: S311 - the dice draw pictures, not secrets
import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from random import Random
from typing import Final, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ops.train.caption import caption
from ops.train.render import render
from ops.train.scene import Scene
from ops.train.stage import RECORD, stage
from ops.train.tokens import LENGTH, encode

CAPTIONS: Final = 4
"""Captions drawn for each scene."""

LABELS: Final = (
    "count",
    "noun",
    "paint",
    "second",
    "other_noun",
    "other_paint",
    "ground",
    "centred",
)
_CHUNK: Final = 2000

Drawn = tuple[NDArray[np.void], NDArray[np.int16], NDArray[np.int16]]


def labels(scene: Scene) -> list[int]:
    """Return what the picture shows, in the order of LABELS; -1 where the words leave it open."""
    facts = [len(scene.things)]
    for thing in scene.things[:2] if len(scene.things) != 1 else scene.things * 2:
        exact = thing.shade == 0 and thing.finish != "metallic"
        facts += [
            thing.noun,
            thing.paint if exact else -1,
            -1 if thing.second is None else thing.second,
        ]
    centred = scene.place == 0 and scene.size >= 0 and scene.view != "above"
    return [*facts[:6], -1 if scene.table else scene.background, int(centred)]


def draw_chunk(seed: int, count: int, aspect: float, draw: Callable[[Random], Scene]) -> Drawn:
    """Draw scenes: renderer records, labels, and the tokens of four captions each."""
    dice = Random(seed)
    scenes = [draw(dice) for _ in range(count)]
    records = np.array([stage(dice, scene, aspect) for scene in scenes], RECORD)
    texts = [caption(dice, scene) for scene in scenes for _ in range(CAPTIONS)]
    tokens = np.array(encode(texts), np.int16).reshape(count, CAPTIONS, LENGTH)
    return records, np.array([labels(scene) for scene in scenes], np.int16), tokens


@dataclass(slots=True)
class Pool:
    """Pictures of one size (uint8, [n, height, width, 3]), their labels and captions' tokens."""

    width: int
    height: int
    pictures: Tensor
    labels: Tensor
    tokens: Tensor

    def __len__(self) -> int:
        return len(self.labels)


class Drawing:
    """Scenes being drawn by other processes while this one imports, compiles and trains."""

    def __init__(
        self,
        *,
        sizes: list[tuple[int, int, int]],
        seed: int,
        processes: int,
        draw: Callable[[Random], Scene],
    ) -> None:
        """Describe the work: (width, height, how many) a pool; 0 processes means in this one.

        ``draw`` chooses the scenes; it has to be a module's function, to reach other processes.
        """
        self._sizes = sizes
        self._seed = seed
        self._draw = draw
        self._workers = (
            ProcessPoolExecutor(
                processes,
                multiprocessing.get_context("fork"),
                # Each process has one core; the tokenizer's own threads would only fight for it.
                initializer=os.environ.__setitem__,
                initargs=("TOKENIZERS_PARALLELISM", "false"),
            )
            if processes
            else None
        )
        self._chunks: list[list[Future[Drawn]]] = []

    def __enter__(self) -> Self:
        """Hand out the work, before anything touches the GPU (a fork after that would break it)."""
        for i, (width, height, count) in enumerate(self._sizes):
            jobs = [
                (
                    self._seed * 1_000_003 + i * 10_007 + first,
                    min(_CHUNK, count - first),
                    width / height,
                    self._draw,
                )
                for first in range(0, count, _CHUNK)
            ]
            if self._workers:
                self._chunks.append([self._workers.submit(draw_chunk, *job) for job in jobs])
        return self

    def __exit__(self, *_: object) -> None:
        """End the processes."""
        if self._workers:
            self._workers.shutdown(cancel_futures=True)

    def pool(self, index: int, device: torch.device) -> Pool:
        """Wait for one pool's scenes and render them."""
        width, height, count = self._sizes[index]
        if self._workers:
            drawn = [chunk.result() for chunk in self._chunks[index]]
        else:
            seed = self._seed * 1_000_003 + index * 10_007
            drawn = [draw_chunk(seed, count, width / height, self._draw)]
        records = np.concatenate([part[0] for part in drawn])
        step = 8192
        pictures = [
            render(records[i : i + step], width, height, device) for i in range(0, count, step)
        ]
        facts, tokens = (
            torch.from_numpy(np.concatenate([part[k] for part in drawn])).to(device) for k in (1, 2)
        )
        return Pool(
            width=width, height=height, pictures=torch.cat(pictures), labels=facts, tokens=tokens
        )


def to_float(pictures: Tensor) -> Tensor:
    """Turn uint8 [n, height, width, 3] into what networks read: float [n, 3, h, w] in [-1, 1]."""
    return pictures.permute(0, 3, 1, 2).float() / 127.5 - 1
