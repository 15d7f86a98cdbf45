"""A real InvokeAI on loopback, from the virtualenv that `ops/invokeai/setup` makes."""

import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import pytest

VERSION = "6.14.2"
MODELS = (
    "tiny-sd15",
    "tiny-sdxl",
    "tiny-control",
    "tiny-lora.safetensors",
    "tiny-upscaler.safetensors",
)

_OPS = Path(__file__).parents[3] / "ops/invokeai"
_START_SECONDS = 400.0


def home() -> Path:
    """Return the folder that `ops/invokeai/setup` fills; without it, skip, or fail in CI."""
    cache = os.environ.get("KITTY_CACHE") or Path.home() / ".cache/kitty-images"
    folder = Path(cache) / f"invokeai-{VERSION}"
    if (folder / "installed").is_file() and (folder / "models/made").is_file():
        return folder
    words = f"no InvokeAI in {folder}: run ops/invokeai/setup"
    if os.environ.get("CI"):
        pytest.fail(words)
    pytest.skip(words)


class RealInvokeAi:
    """A server process over a folder of its own, which outlives the process."""

    def __init__(self, root: Path) -> None:
        self.home = home()
        self.python = self.home / "venv/bin/python"
        self._root = root
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start it and wait until it answers, which it does when it is ready."""
        self._root.mkdir(exist_ok=True)
        log = self._root / "server.log"
        command = [self.python, _OPS / "serve.py", self._root, str(self._port)]
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                command, stdout=out, stderr=out, stdin=subprocess.DEVNULL
            )
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                pytest.fail(
                    f"InvokeAI did not start:\n{log.read_text('utf-8')[-3000:]}", pytrace=False
                )
            time.sleep(0.2)

    def kill(self) -> None:
        """End it as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def install(self) -> None:
        """Install the tiny models where they lie."""
        for name in MODELS:
            source = urllib.parse.quote(str(self.home / "models" / name), safe="")
            job = self._ask("POST", f"/api/v2/models/install?source={source}&inplace=true", {})
            while job["status"] not in ("completed", "error", "cancelled"):
                time.sleep(0.05)
                job = self._ask("GET", f"/api/v2/models/install/{job['id']}")
            assert job["status"] == "completed", job

    def _answers(self) -> bool:
        try:
            return bool(self._ask("GET", "/api/v1/app/version")["version"])
        except (urllib.error.URLError, OSError):
            return False

    def _ask(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 -- JSON
        request = urllib.request.Request(  # noqa: S310 -- the address is our own
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 -- likewise
            return json.load(answer)
