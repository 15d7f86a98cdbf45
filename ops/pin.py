"""Write ops/constraints.txt: the exact version of everything that this project can install.

Run it in a virtualenv in which the checks pass: ``.venv/bin/python ops/pin.py``.
"""

import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
BUILD = {"pip": "26.3", "setuptools": "80.9.0"}
"""What installs the rest; not part of what runs."""

HEADER = """\
# The exact version of everything that this project can install, by ops/pin.py.
# Used by ops/setup. A pin installs nothing; it only says which version, if any.
"""


def asked() -> Iterator[Requirement]:
    """Yield what pyproject.toml asks for, with every extra and group."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    lines = list(project["project"]["dependencies"])
    for extra in project["project"]["optional-dependencies"].values():
        lines += extra
    for group in project["dependency-groups"].values():
        lines += group
    yield from map(Requirement, lines)


def pins() -> dict[str, str]:
    """Return name → version of all that is asked for and of all that this needs in turn.

    Raises:
        PackageNotFoundError: something that pyproject.toml asks for is not installed here.
    """
    found = dict(BUILD)
    waiting = [(requirement, True) for requirement in asked()]
    seen: set[tuple[str, str]] = set()
    while waiting:
        requirement, direct = waiting.pop()
        for extra in ("", *requirement.extras):
            name = canonicalize_name(requirement.name)
            marker = requirement.marker
            if (name, extra) in seen or (marker and not marker.evaluate()):
                continue
            seen.add((name, extra))
            try:
                package = distribution(name)
            except PackageNotFoundError:
                if direct:
                    raise
                continue
            # "2.13.0+cpu" is one build of 2.13.0; another machine takes its own.
            found[name] = re.sub(r"\+.*", "", package.version)
            for line in package.requires or ():
                needed = Requirement(line)
                if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                    needed.marker = None
                    waiting.append((needed, False))
    return found


def main() -> None:
    """Write the file."""
    lines = [f"{name}=={version}\n" for name, version in sorted(pins().items())]
    (ROOT / "ops" / "constraints.txt").write_text(HEADER + "".join(lines))


if __name__ == "__main__":
    main()
