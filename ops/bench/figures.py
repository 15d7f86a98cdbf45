"""Prints what the GPU's bench found of one model."""

from collections.abc import Mapping
from typing import Any


def show(row: Mapping[str, Any], reference_seconds: float | None) -> None:
    """Print what there is, times in milliseconds and ratios to the reference."""
    for name in ("alone_seconds", "together_seconds"):
        if name in row:
            ratio = f", {reference_seconds / row[name]:.2f}x" if reference_seconds else ""
            print(f"    {name} {row[name]:.3f}{ratio}")
    for name in ("first_seconds", "alone_step_seconds", "bare_step_seconds", "cancel_seconds",
                 "overtake_seconds", "together_step_seconds",
                 "bare_together_step_seconds"):  # fmt: skip
        if name in row:
            print(f"    {name} {row[name] * 1e3:.2f} ms")
    for name in ("overhead", "together_overhead"):
        if name in row:
            print(f"    {name} {row[name]:.1%}")
    for size, times in row.get("replay", {}).items():
        told = "  ".join(f"{k[:-8]} {v * 1e3:.2f} ms" for k, v in times.items())
        print(f"    {size} pictures: {told}")
    print(f"    memory {row.get('memory', 'not looked at')}", flush=True)
