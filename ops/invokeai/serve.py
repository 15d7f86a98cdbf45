"""Run a real InvokeAI on the CPU, offline: serve.py ROOT PORT, in InvokeAI's own virtualenv.

ROOT holds its settings, its database and its pictures, and may be an empty folder.
"""

import os
import sys

root, port = sys.argv[1], sys.argv[2]
os.environ.update(
    OMP_NUM_THREADS="1",  # tiny models: more threads only wait for each other
    HF_HUB_OFFLINE="1",
    INVOKEAI_ROOT=root,
    INVOKEAI_HOST="127.0.0.1",
    INVOKEAI_PORT=port,
    INVOKEAI_DEVICE="cpu",
    INVOKEAI_PRECISION="float32",
    INVOKEAI_PATCHMATCH="false",
    INVOKEAI_LOG_LEVEL="info",
)

import operators  # noqa: E402

library = operators.declare()
sys.argv = ["invokeai-web", "--root", root]

from invokeai.app.run_app import run_app  # noqa: E402

run_app()
