"""What a server has, for tests that need none."""

from dataclasses import replace

from engines.a1111.stock import Adapter, Checkpoint, Stock
from engines.spec import GenerationSpec

STOCK = Stock(
    checkpoints=(
        Checkpoint(
            title="sd15/photo.safetensors [abcdef1234]",
            name="sd15_photo",
            shorthash="abcdef1234",
            sha256="abcdef1234" + "0" * 54,
            filename="C:\\models\\sd15\\photo.safetensors",
        ),
        Checkpoint(title="new.ckpt", name="new", filename="/models/new.ckpt"),
    ),
    samplers={"DPM++ 2M": ("k_dpmpp_2m",), "Euler a": ("k_euler_a",), "Euler": (), "UniPC": ()},
    schedulers={
        "Automatic": ("automatic",),
        "Uniform": ("uniform",),
        "Karras": ("karras",),
        "SGM Uniform": ("sgm_uniform", "SGMUniform"),
    },
    upscalers=("None", "Lanczos", "R-ESRGAN 4x+"),
    latent_modes=("Latent", "Latent (bicubic)"),
    options=frozenset({"CLIP_stop_at_last_layers", "samples_format", "upscaler_for_img2img"}),
    loras=(Adapter("ink", "Indian Ink", "sd15"), Adapter("oil")),
    controlnets=("control_canny [d14c016b]",),
    control_blank="None",
)
OLD = replace(
    STOCK, schedulers={}, samplers={"DPM++ 2M": (), "DPM++ 2M Karras": ("k_dpmpp_2m_ka",)}
)
SPEC = GenerationSpec(
    prompt="a lighthouse",
    model="sd15_photo",
    width=512,
    height=768,
    steps=20,
    cfg=7.0,
    seed=1234,
    sampler="dpmpp_2m_karras",
    negative_prompt="blurry",
)
