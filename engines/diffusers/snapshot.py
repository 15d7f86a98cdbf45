"""Writes the state of a half-drawn picture to disk, and reads it back after a restart."""

import hashlib
import json
import logging
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from engines.base import Shortfall
from engines.diffusers.versions import versions
from engines.spec import SPEC_JSON, GenerationSpec

_LOG = logging.getLogger(__name__)
_FORMAT = "2"
_SHORTFALLS: TypeAdapter[tuple[Shortfall, ...]] = TypeAdapter(tuple[Shortfall, ...])
_DAY_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Where a picture stood between two steps.

    Attributes:
        part: Index of the pass that was under way.
        tensors: Latents, the generator's state, and what an inpainting keeps.
        memory: The sampler's, as `SamplerRun.memory` tells it.
        shortfalls: What could not be honoured until then.
    """

    part: int
    tensors: Mapping[str, torch.Tensor]
    memory: Mapping[str, Any]
    shortfalls: tuple[Shortfall, ...] = ()


def circumstances(
    spec: GenerationSpec, *, marks: tuple[str, ...], rungs: tuple[str, ...], device: str
) -> str:
    """Name all that must be the same for a snapshot to be taken up again.

    Args:
        spec: What is drawn.
        marks: Of the files of every model that takes part.
        rungs: The precision of every pass.
        device: Kind of device; another one rounds differently.
    """
    about = [f"{name} {version}" for name, version in versions().items()]
    content = [_FORMAT, SPEC_JSON.dump_json(spec).decode(), *marks, *rungs, device, *about]
    return hashlib.sha256("\n".join(content).encode()).hexdigest()


class Snapshots:
    """A folder of snapshots, one file per picture; files are written beside the drawing."""

    def __init__(self, *, folder: Path, keep_days: float) -> None:
        self._folder = folder
        self._keep_seconds = keep_days * _DAY_SECONDS
        self._desk = ThreadPoolExecutor(1, thread_name_prefix="snapshots")
        self._writing: dict[str, Future[None]] = {}
        self._swept = 0.0

    def close(self) -> None:
        """Return when everything is written."""
        self._desk.shutdown(wait=True)

    def sweep(self) -> None:
        """Remove what was forgotten: of pictures that nobody took up again, or half written."""
        self._swept = time.time()
        for path in self._folder.glob("*"):
            with suppress(FileNotFoundError):  # it may be taken up just now
                if path.stat().st_mtime < self._swept - self._keep_seconds:
                    path.unlink()

    def write(self, picture_id: str, snapshot: Snapshot, *, under: str) -> None:
        """Write a snapshot, replacing the picture's earlier one.

        Args:
            picture_id: The picture's name, the same through restarts.
            snapshot: What to keep; its tensors are copied before this returns.
            under: The circumstances, as `circumstances` names them.
        """
        tensors = {f"state.{k}": v.detach().cpu().clone() for k, v in snapshot.tensors.items()}
        told = _flatten(snapshot.memory, tensors)
        notes = {
            "under": under,
            "part": str(snapshot.part),
            "memory": json.dumps(told),
            "shortfalls": _SHORTFALLS.dump_json(snapshot.shortfalls).decode(),
        }
        self._writing = {name: one for name, one in self._writing.items() if not one.done()}
        if time.time() - self._swept > _DAY_SECONDS:
            self._desk.submit(self.sweep)
        self._writing[picture_id] = self._desk.submit(
            self._save, self._path(picture_id), tensors, notes
        )

    def read(self, picture_id: str, *, under: str) -> Snapshot | None:
        """Return the picture's snapshot; None when there is none that can be taken up.

        One of other circumstances, or a broken one, is removed: the picture starts over.
        """
        self._settle(picture_id)
        path = self._path(picture_id)
        if not path.exists():
            return None
        try:
            with safe_open(path, framework="pt") as file:
                notes = file.metadata() or {}
                if notes.get("under") != under:
                    _LOG.warning("snapshot of %s is of other circumstances", picture_id)
                    self.drop(picture_id)
                    return None
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return Snapshot(
                part=int(notes["part"]),
                tensors={k[6:]: v for k, v in tensors.items() if k.startswith("state.")},
                memory=_unflatten(json.loads(notes["memory"]), tensors),
                shortfalls=_SHORTFALLS.validate_json(notes["shortfalls"]),
            )
        except (OSError, SafetensorError, ValueError, KeyError) as error:
            _LOG.warning("snapshot of %s cannot be read: %s", picture_id, error)
            self.drop(picture_id)
            return None

    def drop(self, picture_id: str) -> None:
        """Forget a picture that needs no snapshot any more."""
        self._settle(picture_id)
        self._path(picture_id).unlink(missing_ok=True)

    def _settle(self, picture_id: str) -> None:
        writing = self._writing.pop(picture_id, None)
        if writing is not None:
            writing.exception()

    def _save(self, path: Path, tensors: dict[str, torch.Tensor], notes: dict[str, str]) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.with_suffix(".part")
            save_file(tensors, partial, metadata=notes)
            partial.replace(path)
        except (OSError, SafetensorError) as error:
            # Without it a restart begins this picture again; the drawing itself goes on.
            _LOG.warning("a snapshot could not be written: %s", error)

    def _path(self, picture_id: str) -> Path:
        return self._folder / f"{hashlib.sha256(picture_id.encode()).hexdigest()}.safetensors"


def _flatten(memory: Mapping[str, Any], tensors: dict[str, torch.Tensor]) -> dict[str, Any]:
    """Put the memory's tensors among `tensors` and return the rest as JSON."""

    def told(name: str, value: Any) -> Any:  # noqa: ANN401
        if isinstance(value, torch.Tensor):
            tensors[name] = value.detach().cpu().clone()
            return {"tensor": name, "device": value.device.type}
        if isinstance(value, list | tuple):
            return [told(f"{name}.{index}", item) for index, item in enumerate(value)]
        return value

    return {name: told(f"memory.{name}", value) for name, value in memory.items()}


def _unflatten(told: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    def known(value: Any) -> Any:  # noqa: ANN401
        match value:
            case {"tensor": name, "device": device}:
                return tensors[name].to(device)
            case list():
                return [known(item) for item in value]
            case _:
                return value

    return {name: known(value) for name, value in told.items()}
