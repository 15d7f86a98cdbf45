"""Draws: submits a request, shows it being drawn, and saves, shows or opens what came of it."""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import typer
from rich.markup import escape

from service.cli import graphics, options, output
from service.cli.client import Address, Images, connect
from service.cli.exits import RefusedError, UsageError, run
from service.cli.queue import say_if_paused
from service.cli.replies import Job
from service.cli.watch import warn, watch


@dataclass(frozen=True, slots=True)
class Wishes:
    """What to do with the pictures when they are there."""

    wait: bool = True
    open: bool = False
    out: Path | None = None
    show: bool = True
    as_json: bool = False


def generate(
    context: typer.Context,
    prompt: options.Prompt,
    *,
    negative: options.Negative = None,
    model: options.Model = None,
    engine: options.Engine = None,
    profile: options.Profile = None,
    width: options.Width = None,
    height: options.Height = None,
    steps: options.Steps = None,
    cfg: options.Cfg = None,
    seed: options.Seed = None,
    sampler: options.Sampler = None,
    count: options.Count = 1,
    lora: options.Loras = None,
    control: options.Controls = None,
    init_image: options.InitImage = None,
    mask: options.Mask = None,
    strength: options.Strength = None,
    hires: options.Hires = None,
    upscale: options.Upscale = None,
    refiner: options.Refiner = None,
    tiling: options.Tiling = None,
    clip_skip: options.ClipSkip = None,
    reproducible: options.Reproducible = False,
    lane: options.Lane = None,
    priority: options.Priority = None,
    tag: options.Tags = None,
    no_wait: options.NoWait = False,
    open_: options.Open = False,
    out: options.Out = None,
    show: options.Show = True,
    as_json: options.AsJson = False,
) -> None:
    """Draw a picture and watch it come. Ctrl-C stops the watching, not the drawing."""
    body = (
        _given(prompt=prompt, negative_prompt=negative, model=model, engine=engine, seed=seed)
        | _given(profile=profile, width=width, height=height, steps=steps, cfg=cfg)
        | _given(sampler=sampler, count=count, lane=lane, priority=priority, tags=tag)
        | _given(loras=[asdict(one) for one in lora or ()], controls=control, refiner=refiner)
        | _given(init_image=init_image, mask=mask, strength=strength, hires=hires, upscale=upscale)
        | _given(tiling=tiling, clip_skip=clip_skip, reproducible=reproducible or None)
    )
    wishes = Wishes(wait=not no_wait, open=open_, out=out, show=show, as_json=as_json)
    run(draw(options.address(context), body, wishes), as_json=as_json)


def _given(**fields: object) -> dict[str, object]:
    """Return the fields that were given; the service decides about the others.

    Raises:
        typer.BadParameter: one holds bytes that are no text, which JSON could not say.
    """
    for name, value in fields.items():
        if isinstance(value, str) and _is_broken(value):
            raise typer.BadParameter("it is no UTF-8", param_hint=options.option_of(name))
    return {name: value for name, value in fields.items() if value not in (None, [])}


def _is_broken(text: str) -> bool:
    """Say whether a word of the command line was no UTF-8; Python keeps such bytes apart."""
    return any("\ud800" <= sign <= "\udfff" for sign in text)


async def draw(address: Address, body: dict[str, object], wishes: Wishes) -> None:
    """Submit a request and do with its pictures as wished.

    Raises:
        UsageError: there is no folder to save them in; nothing is drawn then.
    """
    if wishes.out is not None and not wishes.out.parent.is_dir():
        raise UsageError(f"--out {wishes.out}: there is no folder {wishes.out.parent}")
    notes = output.news()
    async with connect(address) as images:
        try:
            accepted = await images.submit(body)
        except RefusedError as error:
            raise RefusedError(error.problem, named=options.option_of) from error
        job_id = accepted["job_id"]
        warn(accepted["warnings"], notes, named=options.option_of)
        if not wishes.wait:
            # The id alone, so that scripts can take it without reading JSON.
            output.print_json(accepted) if wishes.as_json else typer.echo(job_id)
            return
        try:
            await say_if_paused(images)
            job = await watch(images, job_id, notes)
        except asyncio.CancelledError:
            notes.print(f"Job {job_id} goes on. Look at it, or end it:", markup=False)
            notes.print(f"  kitty-cli images.status {job_id}\n  kitty-cli images.cancel {job_id}")
            raise
        known = {(warning["code"], warning["field"]) for warning in accepted["warnings"]}
        later = [w for w in job["warnings"] if (w["code"], w["field"]) not in known]
        warn(later, notes, named=options.option_of)
        saved = await _bring(images, job, wishes)
    _print_done(address, job, saved, as_json=wishes.as_json)
    if wishes.open:
        first = job["artifacts"][0]
        typer.launch(str(saved[0]) if saved else address.url(first["url"]))


async def _bring(images: Images, job: Job, wishes: Wishes) -> list[Path]:
    """Fetch the pictures that are to be shown or saved; return where they were saved."""
    console, saved = output.results(), list[Path]()
    show = wishes.show and not wishes.as_json and graphics.means(os.environ, console)
    if not show and wishes.out is None:
        return saved
    keys = [artifact["key"] for artifact in job["artifacts"]]
    places = destinations(wishes.out, keys) if wishes.out else [None] * len(keys)
    for artifact, place in zip(job["artifacts"], places, strict=True):
        png = await images.fetch("GET", artifact["url"])
        if show:
            graphics.show(png, console, os.environ)
        if place is not None:
            saved.append(_save(png, place))
    return saved


def destinations(out: Path, keys: Sequence[str]) -> list[Path]:
    """Return where each picture goes: into the folder `out`, or to FILE, FILE-2, and so on."""
    if out.is_dir():
        return [out / Path(key).name for key in keys]
    numbered = (out.with_stem(f"{out.stem}-{place}") for place in range(2, len(keys) + 1))
    return [out, *numbered]


def _save(png: bytes, place: Path) -> Path:
    try:
        place.write_bytes(png)
    except OSError as error:
        raise UsageError(f"--out {place}: {error.strerror}") from error
    return place


def _print_done(address: Address, job: Job, saved: list[Path], *, as_json: bool) -> None:
    """Print what was drawn and where it is."""
    if as_json:
        files = {"files": [str(path) for path in saved]} if saved else {}
        output.print_json({**job, **files})
        return
    console = output.results()
    for artifact in job["artifacts"]:
        facts = f"{artifact['width']}x{artifact['height']}, seed {artifact['seed']}"
        console.print(f"[green]{escape(artifact['key'])}[/]  [dim]{facts}[/]")
    for path in saved:
        console.print(f"saved    {escape(str(path))}")
    console.print(f"gallery  {address.url('vision')}")
