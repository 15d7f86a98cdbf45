"""Commands about what can be drawn with: models and engines."""

from typing import Any

import typer
from rich.markup import escape
from rich.text import Text

from service.cli import options, output
from service.cli.client import Address, connect
from service.cli.exits import run

_COLOURS = {"closed": "green", "half_open": "yellow", "open": "red"}
_HEALTH = {"closed": "well", "half_open": "being tried", "open": "down"}
"""What the states of an engine's circuit breaker mean to people."""


def models(
    context: typer.Context,
    *,
    refresh: bool = typer.Option(False, "--refresh", help="Ask the engines anew."),
    as_json: options.AsJson = False,
) -> None:
    """List the models that the engines have."""
    run(_models(options.address(context), refresh=refresh, as_json=as_json), as_json=as_json)


async def _models(address: Address, *, refresh: bool, as_json: bool) -> None:
    params = {"refresh": "1"} if refresh else None
    async with connect(address) as images:
        answer = await images.call("GET", "api/images/models", params=params)
    if as_json:
        output.print_json(answer)
        return
    rows = []
    for model in answer["items"]:
        name = f"{model['name']}{' (loaded)' if model.get('loaded') else ''}"
        rows.append((name, model["kind"], model.get("base", ""), model["engine"], _draws(model)))
    console = output.results()
    console.print(output.columns(("model", "kind", "family", "engine", "draws"), rows))
    for engine, why in answer.get("errors", {}).items():
        console.print(f"[red]{escape(engine)}[/]  {escape(str(why))}")


def _draws(model: dict[str, Any]) -> str:
    """Return a model's usual size and steps, or why it cannot draw."""
    if model.get("error"):
        return str(model["error"])
    usual = model.get("defaults") or {}
    if model["kind"] != "checkpoint" or not usual:
        return ""
    return f"{usual['width']}x{usual['height']}, {usual['steps']} steps, cfg {usual['cfg']:g}"


def engines(context: typer.Context, *, as_json: options.AsJson = False) -> None:
    """List the engines and how they are."""
    run(_engines(options.address(context), as_json=as_json), as_json=as_json)


async def _engines(address: Address, *, as_json: bool) -> None:
    async with connect(address) as images:
        answer = await images.call("GET", "api/images/engines")
    if as_json:
        output.print_json(answer)
        return
    rows = []
    for engine in answer["items"]:
        state = str(engine["state"])
        health = Text(_HEALTH.get(state, state), _COLOURS.get(state, "cyan"))
        counts = (str(engine["drawing"]), str(engine["waiting"]))
        loaded, why = str(engine.get("loaded_model") or ""), str(engine.get("reason") or "")
        rows.append((engine["engine"], health, engine["gpu"], *counts, loaded, why))
    titles = ("engine", "health", "gpu", "drawing", "waiting", "loaded", "why")
    output.results().print(output.columns(titles, rows))
