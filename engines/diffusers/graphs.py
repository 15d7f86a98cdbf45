"""Records what a call launches on CUDA, so that one launch replays all of it."""

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch


@dataclass(frozen=True, slots=True)
class Recording:
    """A call that was recorded: `replay` reads its inputs where they lay and fills `answer`."""

    replay: Callable[[], object]
    answer: torch.Tensor


class Recorder(Protocol):
    """A device that can record what is launched on it."""

    def record(self, ask: Callable[[], torch.Tensor]) -> Recording:
        """Record what `ask` launches, without running it.

        `ask` must have run before with the same tensors: then its kernels are loaded, and its
        algorithms chosen.

        Raises:
            RuntimeError: it cannot be recorded, or memory is short.
        """

    def wait(self) -> None:
        """Wait until the device has done all that it was told."""


class CudaRecorder:
    """Records CUDA graphs on the thread's own device, all in one memory pool.

    One pool is sound because an answer is read before anything else is replayed. When the last
    graph of a pool has gone the pool is dead, even while something still lies in it, and PyTorch
    refuses to record into it: then a new one is begun.
    """

    def __init__(self) -> None:
        self._beside: torch.cuda.Stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        self._graphs: weakref.WeakSet[torch.cuda.CUDAGraph] = weakref.WeakSet()
        self._pool = torch.cuda.graph_pool_handle()

    def record(self, ask: Callable[[], torch.Tensor]) -> Recording:
        """Record what `ask` launches; other threads may use the device meanwhile."""
        if not self._graphs:
            self._pool = torch.cuda.graph_pool_handle()
        graph = torch.cuda.CUDAGraph()
        # The outer block comes back to the drawing's stream even where the recording fails.
        with (
            torch.cuda.stream(self._beside),
            torch.cuda.graph(
                graph,
                pool=self._pool,
                stream=self._beside,
                capture_error_mode="thread_local",
            ),
        ):
            answer = ask()
        self._graphs.add(graph)
        return Recording(graph.replay, answer)

    def wait(self) -> None:
        """Wait for the drawing's stream."""
        torch.cuda.current_stream().synchronize()
