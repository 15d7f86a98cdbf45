"""Times the parts of a drawing alone, and diffusers' own pipeline for comparison."""

import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import diffusers
import torch

from engines.diffusers.graphs import CudaRecorder, Recorder, Recording
from engines.diffusers.loader import synchronize
from engines.diffusers.opening import open_session
from engines.diffusers.pixels import decode
from engines.diffusers.plan import make_plan
from engines.diffusers.png import encode_png
from engines.diffusers.session import Session
from engines.diffusers.stepper import ask_network, gather, step
from engines.diffusers.studio import Studio
from engines.spec import GenerationSpec

_CALLS = 20
_PARTS = 4
_WARM = 3
"""Calls before the measured ones: the second decides whether the third is replayed."""


def _session(studio: Studio, spec: GenerationSpec) -> Session:
    part = make_plan(spec, studio.library).passes[0]
    return open_session(
        part,
        spec,
        studio,
        rung=studio.ladder.rung(part.model.mark),
        picture_id="bench",
        generator=torch.Generator().manual_seed(spec.seed),
        before=None,
        larger=None,
        kept=None,
    )


def bare_step_seconds(studio: Studio, spec: GenerationSpec, batch: int) -> float:
    """Seconds of one network call, made again and again with nothing between."""
    model = studio.library.find(spec.model)
    checkpoint = studio.loader.get(model)
    call = gather([_session(studio, spec) for _ in range(batch)])
    for _ in range(_WARM):
        studio.network(checkpoint, call)
        studio.network.prepare()
    synchronize(studio.device)
    started = time.perf_counter()
    for _ in range(_CALLS):
        studio.network(checkpoint, call)
        synchronize(studio.device)
    return (time.perf_counter() - started) / _CALLS


class Rerun:
    """Records nothing and asks again: stands for a device that can record, in rehearsals."""

    def record(self, ask: Callable[[], torch.Tensor]) -> Recording:
        """Return what asks again."""
        answer = ask()
        return Recording(lambda: answer.copy_(ask()), answer)

    def wait(self) -> None:
        """Everything is done already."""


def replay_seconds(studio: Studio, spec: GenerationSpec, batch: int) -> dict[str, float]:
    """Seconds of a call kernel by kernel, of launching it, of recording it, and of a replay."""
    recorder: Recorder = CudaRecorder() if studio.device.type == "cuda" else Rerun()
    checkpoint = studio.loader.get(studio.library.find(spec.model))
    inputs = gather([_session(studio, spec) for _ in range(batch)]).together()

    def ask() -> torch.Tensor:
        return ask_network(checkpoint, inputs)

    for _ in range(_WARM):
        ask()
    recorder.wait()
    plain, launch = [], []
    for _ in range(_CALLS // 2):
        moments = [time.perf_counter()]
        ask()
        moments.append(time.perf_counter())
        recorder.wait()
        moments.append(time.perf_counter())
        launch.append(moments[1] - moments[0])
        plain.append(moments[2] - moments[0])
    began = time.perf_counter()
    recording = recorder.record(ask)
    recorded = time.perf_counter() - began
    replays = []
    for _ in range(_CALLS // 2):
        began = time.perf_counter()
        recording.replay()
        recorder.wait()
        replays.append(time.perf_counter() - began)
    return {
        "plain_seconds": median(plain),
        "launch_seconds": median(launch),
        "record_seconds": recorded,
        "first_replay_seconds": replays[0],
        "replay_seconds": median(replays),
    }


def memory(studio: Studio, spec: GenerationSpec) -> dict[str, int | None]:
    """What is known of the memory of the spec's calls, and how many of them may share one."""
    group = _session(studio, spec).group
    need = studio.batches.need(group)
    return {
        "limit": studio.batches.limit(group),
        "measured_pictures": None if need is None else need.pictures,
        "measured_bytes": None if need is None else need.bytes,
        "free_bytes": studio.batches.free(),
    }


def part_seconds(studio: Studio, spec: GenerationSpec) -> dict[str, float]:
    """Seconds of what a picture needs beside its steps: encoding a new prompt, decoding, PNG."""
    model = studio.library.find(spec.model)
    checkpoint = studio.loader.get(model)
    spent = {"encode_seconds": 0.0, "decode_seconds": 0.0, "png_seconds": 0.0}
    for attempt in range(_PARTS + 1):
        moments = [time.perf_counter()]
        session = _session(studio, replace(spec, prompt=f"part {attempt} {moments[0]}"))
        synchronize(studio.device)
        moments.append(time.perf_counter())
        pixels = decode(session.latents * 0.1, checkpoint, tiled=False)
        moments.append(time.perf_counter())
        encode_png(pixels)
        moments.append(time.perf_counter())
        if attempt:
            for name, (before, after) in zip(spent, pairwise(moments), strict=True):
                spent[name] += (after - before) / _PARTS
    return spent


def hottest_kernels(studio: Studio, spec: GenerationSpec, batch: int) -> list[dict[str, Any]]:
    """Say where the device's time goes in one step of a full batch, largest share first."""
    model = studio.library.find(spec.model)
    checkpoint = studio.loader.get(model)
    sessions = [_session(studio, replace(spec, steps=_CALLS)) for _ in range(batch)]
    for _ in range(_WARM):
        step(sessions, checkpoint, network=studio.network, guides=studio.guides)
        studio.network.prepare()
    synchronize(studio.device)
    kinds = [torch.profiler.ProfilerActivity.CPU]
    if studio.device.type == "cuda":
        kinds.append(torch.profiler.ProfilerActivity.CUDA)
    with torch.profiler.profile(activities=kinds) as profile:
        step(sessions, checkpoint, network=studio.network, guides=studio.guides)
        synchronize(studio.device)
    rows = [(event.key, float(event.self_device_time_total)) for event in profile.key_averages()]
    total = sum(spent for _, spent in rows) or 1.0
    rows.sort(key=lambda row: -row[1])
    return [
        {"kernel": key[:100], "milliseconds": spent / 1e3, "share": spent / total}
        for key, spent in rows[:12]
    ]


def reference(folder: Path, spec: GenerationSpec, pictures: int, device: str) -> float:
    """Seconds per picture of diffusers' own pipeline, one after another."""
    dtype = torch.float16 if device == "cuda" else torch.float32
    pipeline: Any = diffusers.DiffusionPipeline.from_pretrained(folder, dtype=dtype).to(device)
    pipeline.set_progress_bar_config(disable=True)

    def draw(seed: int) -> None:
        pipeline(
            prompt=spec.prompt,
            width=spec.width,
            height=spec.height,
            num_inference_steps=spec.steps,
            guidance_scale=spec.cfg,
            generator=torch.Generator().manual_seed(seed),
        )

    draw(0)
    started = time.perf_counter()
    for seed in range(pictures):
        draw(seed)
    return (time.perf_counter() - started) / pictures
