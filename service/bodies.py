"""What request bodies are made of: names, bounds and the parts that nest in them."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Side = Annotated[int, Field(ge=16, le=4096)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class Body(BaseModel):
    """A request body: what it does not know is kept, so that it can be named in a warning."""

    model_config = ConfigDict(extra="allow", frozen=True)


class LoraBody(Body):
    """A LoRA and its weight."""

    name: Name
    weight: Annotated[float, Field(ge=-4, le=4, allow_inf_nan=False)] = 1.0


class ControlBody(Body):
    """A ControlNet with its picture: base64, a data URI, or the key of one of our pictures."""

    model: Name
    image: str
    weight: Annotated[float, Field(ge=0, le=4, allow_inf_nan=False)] = 1.0
    start: Share = 0.0
    end: Share = 1.0


class HiresBody(Body):
    """A second pass on an enlarged picture."""

    scale: Annotated[float, Field(gt=1, le=4, allow_inf_nan=False)] = 2.0
    strength: Share = 0.5
    steps: Annotated[int, Field(ge=1, le=200)] | None = None
    upscaler: Name = "latent"


class UpscaleBody(Body):
    """An enlargement of the finished picture."""

    scale: Annotated[float, Field(gt=1, le=8, allow_inf_nan=False)] = 2.0
    upscaler: Name = "lanczos"


class RefinerBody(Body):
    """A second model for the last part of the steps."""

    model: Name
    start: Share = 0.8
