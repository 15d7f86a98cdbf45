"""Asks a device how much memory a call took, and how much is left."""

from typing import Protocol

import torch

from engines.diffusers.devices import DeviceRules

_GIB = 2**30


class Meter(Protocol):
    """Measures memory on one device, in bytes."""

    def begin(self) -> int:
        """Begin to watch; return what is in use now."""

    def peak(self) -> int:
        """Return the most that was in use since `begin`, or a bound of it."""

    def free(self) -> int:
        """Return what calls may still take, beside what is in use and what is left to others."""


class CudaMeter:
    """Reads PyTorch's allocator, and the driver for what other processes left."""

    def __init__(self, device: torch.device, *, spare: int) -> None:
        """`spare` bytes are left to others."""
        self._device = device
        self._spare = spare

    def begin(self) -> int:
        """Forget the peak; return what tensors take."""
        torch.cuda.reset_peak_memory_stats(self._device)
        return torch.cuda.memory_allocated(self._device)

    def peak(self) -> int:
        """Return the most that tensors took."""
        return torch.cuda.max_memory_allocated(self._device)

    def free(self) -> int:
        """Return what the driver has left, with what the allocator holds and nobody uses."""
        left, _ = torch.cuda.mem_get_info(self._device)
        idle = torch.cuda.memory_reserved(self._device) - torch.cuda.memory_allocated(self._device)
        return max(0, left + idle - self._spare)


class MpsMeter:
    """Reads Metal's allocator, which keeps no peak: what it holds afterwards bounds it."""

    def __init__(self, *, spare: int) -> None:
        """`spare` bytes are left to others."""
        self._spare = spare

    def begin(self) -> int:
        """Return what tensors take."""
        return torch.mps.current_allocated_memory()

    def peak(self) -> int:
        """Return what the driver holds for us now: the call's memory, and older that it reused."""
        return torch.mps.driver_allocated_memory()

    def free(self) -> int:
        """Return what Metal recommends to take, less what tensors take."""
        left = torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory()
        return max(0, left - self._spare)


def meter_of(device: torch.device, rules: DeviceRules) -> Meter | None:
    """Return the meter of a device; None where memory is not what ends a call."""
    spare = int(rules.spare_gib * _GIB)
    match device.type:
        case "cuda":
            return CudaMeter(device, spare=spare)
        case "mps":
            return MpsMeter(spare=spare)
        case _:
            return None
