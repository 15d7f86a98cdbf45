"""The decoder learns to draw the shipped denoiser's guesses, and guesses are what they say."""

import pytest
import torch
from diffusers import AutoencoderKL
from torch import Tensor

from engines.mini import MODEL_DIR
from ops.train.decoder import decode, falling_times, loss_of
from ops.train.descent import Descent
from ops.train.fidelity import decibels, picture_loss, sharpness, strength_loss
from ops.train.guesser import Guesser
from ops.train.latents import Latents, encode_pool
from ops.train.pool import Drawing, Pool, to_float
from ops.train.scene import draw_lesson
from ops.train.velocity import signal_kept

pytestmark = pytest.mark.filterwarnings("ignore")  # the libraries' own deprecations
CPU = torch.device("cpu")
COUNT = 4


@pytest.fixture
def vae() -> AutoencoderKL:
    return AutoencoderKL.from_pretrained(MODEL_DIR / "vae").float().eval()


@pytest.fixture(scope="module")
def guesser() -> Guesser:
    return Guesser(model=MODEL_DIR, device=CPU, precision=torch.float32)


@pytest.fixture(scope="module")
def pool() -> Pool:
    with Drawing(sizes=[(64, 64, COUNT)], seed=3, processes=0, draw=draw_lesson) as drawing:
        return drawing.pool(0, CPU)


@pytest.fixture
def latents(vae: AutoencoderKL, pool: Pool) -> Latents:
    return encode_pool(vae, pool, torch.float32)


def guessed(guesser: Guesser, latents: Latents, time: int) -> Tensor:
    torch.manual_seed(1)
    return guesser.guess(
        latents.codes.float(), latents.tokens[:, 0], torch.full((COUNT,), time, device=CPU)
    )


def test_a_guess_is_nearer_to_the_truth_than_what_it_was_made_from(
    guesser: Guesser, latents: Latents
) -> None:
    codes, kept = latents.codes.float(), signal_kept(CPU)[250]
    torch.manual_seed(1)
    noisy = codes + ((1 - kept) / kept).sqrt() * torch.randn_like(codes)
    error = (guessed(guesser, latents, 250) - codes).square().mean()
    assert error < 0.5 * (noisy - codes).square().mean()
    assert error > 2 * (guessed(guesser, latents, 20) - codes).square().mean()


def test_the_decoder_learns_to_draw_guesses(
    vae: AutoencoderKL, guesser: Guesser, pool: Pool, latents: Latents
) -> None:
    guesses, pictures = guessed(guesser, latents, 250), to_float(pool.pictures)

    def loss() -> float:
        with torch.no_grad():
            return picture_loss(pictures, decode(vae, guesses)).item()

    before = loss()
    descent = Descent(
        parameters=[*vae.post_quant_conv.parameters(), *vae.decoder.parameters()],
        weight_decay=0.0,
        averaging=0.9,
        precision=torch.float32,
    )
    shown = loss_of(vae, guesser, pool, latents, COUNT)
    for _ in range(40):
        descent.step("shown", shown, 8e-4)
    descent.settle()
    # 0.77 as it is; 0.95 for a decoder that was shown the encoder's latents alone.
    assert loss() < 0.86 * before


def test_early_times_are_the_most() -> None:
    times = falling_times(1000, CPU)
    assert 0 <= times.min() <= times.max() < 350
    # Of a density that falls to nothing in a straight line, three quarters lie in the first half.
    assert (times < 175).float().mean().item() == pytest.approx(0.75, abs=0.01)


def test_blur_costs_decibels_and_sharpness() -> None:
    torch.manual_seed(1)
    pictures = torch.rand(2, 3, 16, 16) - 0.5
    blurred = (pictures + pictures.roll(1, -1)) / 2
    assert sharpness(pictures, pictures) == pytest.approx(1)
    assert sharpness(pictures, blurred) < 0.9
    # A uniform error of a tenth of the range of two is 20 decibels under it.
    assert decibels(pictures, pictures + 0.2) == pytest.approx(20, abs=0.01)
    assert decibels(pictures, blurred) < decibels(pictures, pictures + 0.01)


def test_an_edge_a_pixel_off_is_as_strong_and_a_blurred_one_is_not() -> None:
    torch.manual_seed(1)
    edge = torch.where(torch.arange(32) < 16, -0.5, 0.5).expand(1, 3, 32, 32)
    moved = edge.roll(1, -1)
    moved[..., 0] = -0.5
    blurred = (edge.roll(4, -1) + edge.roll(-4, -1)) / 2
    noisy = edge + 0.1 * torch.randn_like(edge)
    assert strength_loss(edge, moved) < 0.6 * strength_loss(edge, blurred)
    assert strength_loss(edge, noisy) > strength_loss(edge, moved)
    assert strength_loss(edge, edge) == 0
