"""Descent reaches the bottom, and a run in two parts is the same as a run in one."""

import pytest
import torch
from torch import Tensor, nn

from ops.train.descent import Descent, clock, slope

CPU = torch.device("cpu")


def start() -> tuple[nn.Linear, Descent]:
    torch.manual_seed(1)
    line = nn.Linear(6, 6)
    parameters = list(line.parameters())
    return line, Descent(
        parameters=parameters, weight_decay=0.0, averaging=0.9, precision=torch.float32
    )


def loss_of(line: nn.Linear) -> Tensor:
    x = torch.eye(6)
    loss: Tensor = (line(x) - torch.arange(36.0).view(6, 6) / 36).square().mean()
    return loss


def descend(line: nn.Linear, descent: Descent, steps: int) -> None:
    for _ in range(steps):
        descent.step("line", lambda: loss_of(line), 0.03)


def test_the_loss_falls_to_nothing() -> None:
    line, descent = start()
    before = loss_of(line).item()
    descend(line, descent, 300)
    assert loss_of(line).item() < before / 1000


def test_settling_leaves_the_average() -> None:
    line, descent = start()
    descend(line, descent, 300)
    descent.settle()
    assert loss_of(line).item() < 1e-3


def test_a_resumed_run_goes_on_where_it_stopped() -> None:
    whole, one = start()
    descend(whole, one, 20)
    first, half = start()
    descend(first, half, 12)
    kept = half.state()
    second, rest = start()
    rest.load(kept)
    descend(second, rest, 8)
    assert torch.allclose(whole.weight, second.weight, atol=1e-6)


def test_the_rate_rises_stays_and_falls() -> None:
    rates = [slope(i / 100, i, peak=1.0, warm_steps=10, decay=0.5) for i in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[30] == 1.0
    assert rates[99] == pytest.approx(0.02)


def test_the_clock_stops_after_its_steps_or_its_seconds() -> None:
    assert len(list(clock(60, 5, CPU))) == 5
    assert len(list(clock(1e-9, 5, CPU))) == 0
