"""Noise goes in and comes out again, and the time steps lie where the batch asks for them."""

import pytest
import torch

from ops.train.velocity import noised, parted, signal_kept, spread_times

CPU = torch.device("cpu")


def test_what_was_mixed_is_parted_again_by_its_velocity() -> None:
    torch.manual_seed(1)
    clean, noise = torch.randn(3, 4, 8, 8), torch.randn(3, 4, 8, 8)
    kept = signal_kept(CPU)[torch.tensor([10, 400, 990])][:, None, None, None]
    velocity = kept.sqrt() * noise - (1 - kept).sqrt() * clean
    found, rest = parted(noised(clean, noise, kept), velocity, kept)
    torch.testing.assert_close(found, clean, atol=1e-5, rtol=0)
    torch.testing.assert_close(rest, noise, atol=1e-5, rtol=0)


def test_times_are_spread_evenly_and_a_share_of_them_below_the_300th() -> None:
    even, fine = spread_times(1000, CPU), spread_times(1000, CPU, finish=0.5)
    assert 0 <= even.min() <= fine.max() <= 999
    assert (even < 300).float().mean().item() == pytest.approx(0.3, abs=0.005)
    assert (fine < 300).float().mean().item() == pytest.approx(0.65, abs=0.005)
