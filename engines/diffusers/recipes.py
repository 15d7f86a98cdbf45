"""Our sampler names in diffusers' classes; needs no torch, so that names are known before it is."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from engines.samplers import Samplers


@dataclass(frozen=True, slots=True)
class Recipe:
    """A diffusers scheduler class, its settings, and the attributes that change with each step."""

    scheduler: str
    settings: Mapping[str, Any]
    memory: tuple[str, ...] = ()


BROWNIAN = "DPMSolverSDEScheduler"
_DPM = MappingProxyType({"algorithm_type": "dpmsolver++", "solver_order": 2})

SPACINGS: Final = frozenset(
    {
        "use_karras_sigmas",
        "use_exponential_sigmas",
        "use_beta_sigmas",
        "use_flow_sigmas",
        "use_lu_lambdas",
    }
)
"""Settings of diffusers that space the noise levels of the steps; they exclude each other."""

RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        "euler": Recipe("EulerDiscreteScheduler", {}),
        "euler_a": Recipe("EulerAncestralDiscreteScheduler", {}),
        "ddim": Recipe("DDIMScheduler", {}),
        "dpmpp_2m": Recipe(
            "DPMSolverMultistepScheduler", _DPM, ("model_outputs", "lower_order_nums")
        ),
        "dpmpp_2m_karras": Recipe(
            "DPMSolverMultistepScheduler",
            {**_DPM, "use_karras_sigmas": True},
            ("model_outputs", "lower_order_nums"),
        ),
        "dpmpp_sde": Recipe(BROWNIAN, {}, ("sample", "mid_point_sigma")),
        "unipc": Recipe(
            "UniPCMultistepScheduler",
            {},
            ("model_outputs", "timestep_list", "lower_order_nums", "last_sample", "this_order"),
        ),
        "lcm": Recipe("LCMScheduler", {}),
        "heun": Recipe("HeunDiscreteScheduler", {}, ("prev_derivative", "dt", "sample")),
    }
)

SAMPLERS: Final = Samplers(tuple(RECIPES), RECIPES.__contains__)
"""What the engine draws with."""
