"""Lets other services be measured beside this one, by their own bench and in the same run."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from ops.bench.asked import BODY, UNBOUNDED


def run_peers(folder: Path, parts: str, stacks: str) -> dict[str, Any]:
    """Let the peers' own bench measure them and us in one run; return what it wrote."""
    ours = {
        "name": "kitty-images", "cwd": str(Path(__file__).resolve().parents[2]),
        "start": [sys.executable, "-m", "service"],
        "env": {"SERVICE_PORT": "{port}", "S3_ENDPOINT_URL": "{s3}", "A1111_BASE_URL": "{stub}",
                "IMAGE_ENGINE": "fake", **UNBOUNDED},
        "body": BODY | {"seed": "@SEED@"}, "submit": "/api/images/generate",
        "status": "/api/images/jobs/{id}", "done": ["done"], "failed": ["error"],
        "latest": "/api/images/latest?limit=50",
        "pause": {"method": "POST", "path": "/api/images/queue/pause"},
        "resume": {"method": "POST", "path": "/api/images/queue/resume"},
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as name:
        told, out = Path(name) / "ours.json", Path(name) / "out.json"
        told.write_text(json.dumps(ours))
        subprocess.run(
            [folder / "run.sh", "--only", parts, "--stacks", stacks,
             "--reps", "1", "--seconds", "4", "--external", told, "--out", out],
            check=True,
        )  # fmt: skip
        result: dict[str, Any] = json.loads(out.read_text())
        return result
