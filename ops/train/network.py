"""The three networks and the noise schedule, as diffusers and transformers classes."""

from typing import Final

from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

from ops.train.tokens import BEGIN, END, LENGTH, vocabulary

TEXT_WIDTH: Final = 128
CELL: Final = 8
"""Picture pixels a latent cell, in each direction."""


def autoencoder() -> AutoencoderKL:
    """Return an untrained autoencoder: eight times smaller each way, four latent channels."""
    return AutoencoderKL(
        block_out_channels=(32, 64, 64, 96),
        layers_per_block=1,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=4,
        sample_size=192,
        norm_num_groups=16,
        scaling_factor=1.0,
    )


def denoiser() -> UNet2DConditionModel:
    """Return an untrained UNet.

    The finest level has no attention: its cost grows with the square of the cells and it bought
    no quality a second of training; two convolution blocks there draw the edges instead.
    """
    return UNet2DConditionModel(
        sample_size=24,
        block_out_channels=(96, 128, 144),
        layers_per_block=(2, 1, 1),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=(3, 4, 3),  # diffusers reads this as the number of heads
        norm_num_groups=16,
        use_linear_projection=True,
    )


def text_encoder() -> CLIPTextModel:
    """Return an untrained CLIP text encoder over the grammar's vocabulary."""
    ids, _ = vocabulary()
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(ids),
            hidden_size=TEXT_WIDTH,
            intermediate_size=4 * TEXT_WIDTH,
            num_hidden_layers=3,
            num_attention_heads=4,
            max_position_embeddings=LENGTH,
            bos_token_id=ids[BEGIN],
            eos_token_id=ids[END],
            pad_token_id=ids[END],
            projection_dim=TEXT_WIDTH,
        )
    )


def noise_schedule() -> DDIMScheduler:
    """Return Stable Diffusion's noise schedule with a darker end, so that pure grounds come out.

    ``beta_end`` 0.02 instead of 0.012 leaves 1.5 % of the signal at the last step instead of 7 %;
    with trailing steps the sampler starts there (Lin et al. 2023, arXiv:2305.08891).
    """
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.02,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        timestep_spacing="trailing",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )
