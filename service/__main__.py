"""Runs the service: `python -m service`."""

import argparse
import asyncio
import gc
import os
import signal
import sys
from typing import NoReturn

import uvloop
from aiohttp import web

from service import log, telemetry
from service.app import build_app
from service.resources import open_resources
from service.settings import Settings, SettingsError, read_settings

HURRY_EXIT = 0
WRONG_SETTING_EXIT = 2
SWITCH_SECONDS = 0.0005
GC_THRESHOLDS = (25_000, 2, 800)


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; a second one does not wait for running jobs."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        if stop.is_set():
            os._exit(HURRY_EXIT)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    async with open_resources(settings) as parts:
        runner = web.AppRunner(build_app(settings, parts), shutdown_timeout=0.5)
        try:
            await runner.setup()
            await _listen(runner, settings)
            for address in runner.addresses:
                sys.stderr.write(f"kitty-images listens on http://{address[0]}:{address[1]}\n")
            await stop.wait()
        finally:
            await runner.cleanup()


async def _listen(runner: web.AppRunner, settings: Settings) -> None:
    """Open the port."""
    host, port = settings.service_host, settings.service_port
    try:
        await web.TCPSite(runner, host, port, backlog=1024).start()
    except OSError as error:
        where = f"{host}:{port} (SERVICE_HOST, SERVICE_PORT)"
        raise SettingsError(f"cannot listen on {where}: {error}") from None


def _refuse(reason: str) -> NoReturn:
    """Say in one line why the service does not start, and end."""
    sys.stderr.write(f"kitty-images: {reason}\n")
    sys.exit(WRONG_SETTING_EXIT)


def main() -> None:
    """Read the settings and serve; exit with 2 if a setting is wrong."""
    parser = argparse.ArgumentParser(
        prog="kitty-images",
        description="Serve pictures over REST. Everything is set by environment variables; "
        "see ops/settings.env.example.",
    )
    parser.parse_args()
    # Writers run in threads; with the usual 5 ms a busy event loop would make each of their
    # small steps wait that long.
    sys.setswitchinterval(SWITCH_SECONDS)
    # A long queue is a great many objects that stay: looking through all of them finds nothing and
    # holds everybody up, so that is done seldom, and through the new ones in small parts.
    gc.set_threshold(*GC_THRESHOLDS)
    try:
        settings = read_settings()
    except SettingsError as error:
        _refuse(str(error))
    log.set_up(level=settings.log_level, style=settings.log_format)
    flush = telemetry.set_up(settings)
    try:
        uvloop.run(serve(settings))
    except SettingsError as error:
        _refuse(str(error))
    finally:
        flush()


if __name__ == "__main__":
    main()
