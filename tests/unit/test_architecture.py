"""What import-linter and ruff cannot say: who may load what, and how long files may grow."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FLOORS = ("service", "scheduler", "engines")
FILE_LINES = 250
FUNCTION_LINES = 40
SOURCES = [path for floor in FLOORS for path in sorted((ROOT / floor).rglob("*.py"))]


def imports(path: Path) -> Iterator[str]:
    """Yield every module that a file imports, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Import(names=names):
                yield from (name.name for name in names)
            case ast.ImportFrom(module=str(module), names=names):
                yield from (f"{module}.{name.name}" for name in names)
            case _:
                continue


def those_importing(what: str) -> set[str]:
    """Return the files that import a module or something inside it."""
    return {
        path.relative_to(ROOT).as_posix()
        for path in SOURCES
        if any(name == what or name.startswith(f"{what}.") for name in imports(path))
    }


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Yield the functions of a file and their lengths in lines, docstrings left out."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0]
            words = first.end_lineno - first.lineno + 1 if ast.get_docstring(node) else 0
            yield node.name, node.end_lineno - node.body[0].lineno + 1 - words


def test_there_is_something_to_look_at() -> None:
    assert len(SOURCES) > 50


@pytest.mark.parametrize("library", ["torch", "diffusers", "transformers"])
def test_only_the_diffusers_engine_imports(library: str) -> None:
    found = those_importing(library)
    assert found, "nobody imports it; this test looks in the wrong place"
    assert all(path.startswith("engines/diffusers/") for path in found), found


def test_only_telemetry_knows_the_opentelemetry_sdk() -> None:
    assert those_importing("opentelemetry.sdk") == {"service/telemetry.py"}


def test_only_the_service_serves_http() -> None:
    assert all(path.startswith("service/") for path in those_importing("aiohttp.web"))


def test_only_the_store_speaks_s3() -> None:
    found = those_importing("aioboto3") | those_importing("botocore") | those_importing("boto3")
    assert "service/store/s3.py" in found
    assert all(path.startswith("service/store/s3") for path in found), found


def test_the_scheduler_knows_neither_http_nor_database_nor_torch() -> None:
    for library in ("aiohttp", "sqlite3", "torch", "pydantic_settings", "redis"):
        assert not [path for path in those_importing(library) if path.startswith("scheduler/")]


def test_the_service_starts_without_torch_and_the_s3_client() -> None:
    heavy = ("torch", "diffusers", "transformers", "aioboto3", "botocore")
    code = (
        "import sys, service.__main__, service.app, service.resources\n"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True)
    assert run.stdout.decode().strip() == "[]"


def test_files_can_be_read_in_one_sitting() -> None:
    lengths = {path: len(path.read_text().splitlines()) for path in SOURCES}
    assert [
        f"{path.relative_to(ROOT).as_posix()} has {lines} lines"
        for path, lines in lengths.items()
        if lines > FILE_LINES
    ] == []


def test_functions_can_be_read_at_a_glance() -> None:
    assert [
        f"{path.relative_to(ROOT).as_posix()}: {name} has {lines} lines"
        for path in SOURCES
        for name, lines in functions(path)
        if lines > FUNCTION_LINES
    ] == []
