"""A prompt of any length, as the text encoder reads it."""

from engines.diffusers.windows import windows
from engines.prompts import Fragment


def test_windows_hold_all_tokens_in_order() -> None:
    fragments = (Fragment("abc"), Fragment("defgh", 2.0))
    cut = windows(fragments, tokenize=lambda text: [ord(c) for c in text], room=3)
    assert "".join(chr(t) for w in cut for t in w.tokens) == "abcdefgh"
    assert [len(w.tokens) for w in cut] == [3, 3, 2]
    assert [w.weighted for w in cut] == [False, True, True]
    assert len(windows((Fragment(""),), tokenize=lambda _: [], room=3)) == 1
