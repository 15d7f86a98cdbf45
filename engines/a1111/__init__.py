"""Draws on AUTOMATIC1111's web UI, or on Forge, through `/sdapi/v1`."""

from engines.a1111.engine import A1111Engine

__all__ = ["A1111Engine"]
