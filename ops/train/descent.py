"""Gradient descent on one flat vector: bf16 networks, fp32 masters, averaging, CUDA graphs.

Small networks are bound by kernel launches. All parameters live in one flat vector, so an update
is a handful of kernels, and the whole step (forward, backward, update) is captured once a picture
size and replayed. The networks compute in bf16; the masters, moments and averages are fp32.
"""

import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from itertools import accumulate
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import Parameter

_ALIGN: Final = 64
_WARM_UPS: Final = 3
"""Ordinary steps before a capture, so that every library has chosen its kernels."""

State = dict[str, Any]


def clock(seconds: float, steps: int, device: torch.device) -> Iterator[float]:
    """Yield the share of the budget that is spent, until the time or the steps run out."""
    start = time.monotonic()
    for step in range(steps):
        if step % 10 == 0 and device.type == "cuda":
            torch.cuda.synchronize()
        if (spent := (time.monotonic() - start) / seconds) >= 1:
            return
        yield max(spent, step / steps)


def slope(spent: float, step: int, *, peak: float, warm_steps: int, decay: float) -> float:
    """Return the learning rate: a short rise, a plateau, then a straight line to a hundredth."""
    rise = min(1.0, (step + 1) / warm_steps)
    return peak * rise * min(1.0, max(0.01, (1 - spent) / decay))


class Descent:
    """Trains the given parameters in place; they become views into one flat working vector."""

    def __init__(
        self,
        *,
        parameters: Sequence[Parameter],
        weight_decay: float,
        averaging: float,
        precision: torch.dtype,
    ) -> None:
        """Move the parameters (all on one device) into the flat vectors."""
        # Matrices first: weight decay is for them alone, and two slices are two optimizer groups.
        self._parameters = sorted(parameters, key=lambda p: p.ndim < 2)  # noqa: PLR2004 - a matrix has two
        sizes = [-(-p.numel() // _ALIGN) * _ALIGN for p in self._parameters]
        self._starts = [0, *accumulate(sizes)]
        self._device = self._parameters[0].device
        matrices = sum(size for size, p in zip(sizes, self._parameters, strict=True) if p.ndim > 1)
        self._master = torch.zeros(self._starts[-1], device=self._device)
        for view, p in zip(self._views(self._master), self._parameters, strict=True):
            view.copy_(p.detach())
        self._average = self._master.clone()
        self._working = self._master.to(precision)
        self._gradient = torch.zeros_like(self._master)
        for view, p in zip(self._views(self._working), self._parameters, strict=True):
            p.data = view
        self._on_gpu = self._device.type == "cuda"
        self._rate = torch.zeros((), device=self._device)
        self._freshness = torch.ones((), device=self._device)
        self.loss = torch.zeros((), device=self._device)
        self.step_count = 0
        self._averaging = averaging
        self._graphs: dict[Hashable, torch.cuda.CUDAGraph] = {}
        self._optimizer = self._adam(matrices, weight_decay)

    def _views(self, flat: Tensor) -> list[Tensor]:
        return [
            flat[start : start + p.numel()].view(p.shape)
            for start, p in zip(self._starts, self._parameters, strict=False)
        ]

    def _adam(self, matrices: int, weight_decay: float) -> torch.optim.AdamW:
        groups = []
        for part, decay in ((slice(0, matrices), weight_decay), (slice(matrices, None), 0.0)):
            flat = Parameter(self._master[part])
            flat.grad = self._gradient[part]
            groups.append({"params": [flat], "weight_decay": decay})
        return torch.optim.AdamW(
            groups, lr=self._rate, betas=(0.9, 0.99), fused=True, capturable=self._on_gpu
        )

    def _update(self, loss_of: Callable[[], Tensor]) -> None:
        loss = loss_of()
        gradients = torch.autograd.grad(loss, self._parameters)
        with torch.no_grad():
            torch._foreach_copy_(self._views(self._gradient), list(gradients))
            norm = self._gradient.norm()
            self._gradient.mul_((1 / (norm + 1e-6)).clamp(max=1))
            self._optimizer.step()
            self._working.copy_(self._master)
            self._average.lerp_(self._master, self._freshness)
            self.loss.lerp_(loss.detach().float(), 0.02)

    def _capture(self, key: Hashable, loss_of: Callable[[], Tensor]) -> None:
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # torch's own gap
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(_WARM_UPS):
                self._update(loss_of)
        torch.cuda.current_stream().wait_stream(side)
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        memory = next(iter(self._graphs.values())).pool() if self._graphs else None
        with torch.cuda.graph(graph, pool=memory):
            self._update(loss_of)
        self._graphs[key] = graph

    def step(self, key: Hashable, loss_of: Callable[[], Tensor], rate: float) -> None:
        """Take one step; calls with the same key must run the same kernels on the same memory."""
        self.step_count += 1
        self._rate.fill_(rate)
        self._freshness.fill_(max(1 - self._averaging, 1 / (self.step_count + 9)))
        if not self._on_gpu:
            self._update(loss_of)
        elif key not in self._graphs:
            self._capture(key, loss_of)
        else:
            self._graphs[key].replay()

    def settle(self) -> None:
        """Give the parameters their averaged values, in fp32, and end the descent."""
        self._graphs.clear()
        for view, p in zip(self._views(self._average), self._parameters, strict=True):
            p.data = view.clone()

    def state(self) -> State:
        """Return all that a later descent needs to go on."""
        return {
            "master": self._master,
            "average": self._average,
            "optimizer": self._optimizer.state_dict(),
            "step_count": self.step_count,
        }

    def load(self, state: State) -> None:
        """Go on from a state of a descent over the same parameters."""
        self._optimizer.load_state_dict(state["optimizer"])
        for group in self._optimizer.param_groups:
            group["lr"] = self._rate
        self._master.copy_(state["master"])
        self._average.copy_(state["average"])
        self._working.copy_(self._master)
        self.step_count = state["step_count"]
