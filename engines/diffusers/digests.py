"""SHA-256 of model files, counted once and remembered for as long as the file is unchanged."""

import hashlib
import json
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path


def signature(files: Sequence[Path]) -> str:
    """Name the state of some files cheaply: by their paths, sizes and times of change.

    Only the path tells two models of one family apart that were unpacked with one time for all
    files: their parts have the same names and sizes.
    """
    lines = []
    for path in files:
        stat = path.stat()
        lines.append(f"{path} {stat.st_size} {stat.st_mtime_ns}")
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


class Digests:
    """Counts and remembers digests; safe to use from several threads."""

    def __init__(self, *, memory: Path) -> None:
        self._memory = memory
        self._lock = threading.Lock()
        self._known: dict[str, str] | None = None

    def known(self, files: Sequence[Path]) -> str:
        """Return the digest if it was counted before, else an empty string."""
        with self._lock:
            return self._recall().get(signature(files), "")

    def count(self, root: Path, files: Sequence[Path]) -> str:
        """Return the digest of one file, or of a folder's files together.

        A folder's digest is that of one line per file, `<digest>  <path in the folder>`, as
        `sha256sum` prints them.
        """
        mark = signature(files)
        known = self.known(files)
        if known:
            return known
        if files == (root,):
            digest = _sha256(root)
        else:
            lines = [f"{_sha256(path)}  {path.relative_to(root).as_posix()}\n" for path in files]
            digest = hashlib.sha256("".join(lines).encode()).hexdigest()
        self._remember(mark, digest)
        return digest

    def _recall(self) -> dict[str, str]:
        if self._known is None:
            try:
                content = json.loads(self._memory.read_bytes())
                self._known = {str(k): str(v) for k, v in content.items()}
            except (OSError, ValueError, AttributeError):
                self._known = {}
        return self._known

    def _remember(self, mark: str, digest: str) -> None:
        with self._lock:
            known = self._recall()
            known[mark] = digest
            # The cache only saves time: a full disk must not keep a picture from being drawn.
            with suppress(OSError):
                self._memory.parent.mkdir(parents=True, exist_ok=True)
                partial = self._memory.with_suffix(".part")
                partial.write_text(json.dumps(known, indent=1))
                partial.replace(self._memory)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
