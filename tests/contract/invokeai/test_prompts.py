"""What compel, the library in which InvokeAI reads prompts, makes of ours."""

import json
import subprocess
from pathlib import Path

import pytest

from engines.invokeai.prompts import compel
from tests.contract.invokeai.server import RealInvokeAi

pytestmark = pytest.mark.server


def test_compel_reads_the_prompts_as_they_were_meant(tmp_path: Path) -> None:
    meant = {
        "a (cat:1.2) on a mat": [["a", 1.0], ["cat", 1.2], ["on a mat", 1.0]],
        "((a)) [b]": [["a", 1.21], ["b", 0.909]],
        "(red, blue:1.2).": [["red , blue", 1.2], [".", 1.0]],
        "(a (b:1.5) c:1.2)": [["a", 1.2], ["b", 1.8], ["c", 1.2]],
        "C++ rocks, well-known-": [["C ++ rocks, well-known -", 1.0]],
        "(C++:1.2) is": [["C", 1.2], ["++ is", 1.0]],
        "(a=b:1.3) x": [["a", 1.3], ["=", 1.0], ["b", 1.3], ["x", 1.0]],
        "(red - blue:1.4)": [["red", 1.4], ["-", 1.0], ["blue", 1.4]],
        "(--b:1.2)": [["--", 1.0], ["b", 1.2]],
        'say "hi" \\(now\\)': [['say "hi" (now)', 1.0]],
        "a.swap(b)": [["a. swap", 1.0], ["b", 1.1]],
        "(a:1.2)5 b": [["a", 1.2], ["5 b", 1.0]],
        "a) b": [["a) b", 1.0]],
        "": [["", 1.0]],
    }
    read = subprocess.run(
        [RealInvokeAi(tmp_path).python, "-c", _READ_PROMPTS],
        input=json.dumps([compel(prompt) for prompt in meant]),
        capture_output=True,
        text=True,
        check=True,
    )
    assert dict(zip(meant, json.loads(read.stdout), strict=True)) == meant


_READ_PROMPTS = """
import importlib.util, json, sys
package = importlib.util.find_spec("compel").submodule_search_locations[0]
spec = importlib.util.spec_from_file_location("prompt_parser", package + "/prompt_parser.py")
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
parser = module.PromptParser()
conjunctions = [parser.parse_conjunction(prompt) for prompt in json.load(sys.stdin)]
print(json.dumps([
    [[f.text, round(f.weight, 3)] for p in c.prompts for f in p.children] for c in conjunctions
]))
"""
