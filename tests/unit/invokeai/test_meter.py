"""Progress, told from what the nodes report."""

from hypothesis import given
from hypothesis import strategies as st

from engines.base import Progress
from engines.invokeai.messages import Stepped
from engines.invokeai.meter import Meter


def report(node: str, share: float | None = None, preview: bytes | None = None) -> Stepped:
    return Stepped("b", node, "Denoising" if share is not None else "Loading model", share, preview)


def test_the_passes_are_counted_together() -> None:
    meter = Meter({"denoise": 20, "denoise_2": 10})
    assert meter.read(report("denoise", 0.5)) == Progress("drawing", 10, 30)
    assert meter.read(report("denoise_2", 0.5)) == Progress("drawing", 25, 30)
    assert meter.finished() == Progress("drawing", 30, 30)
    assert meter.finished() is None


def test_a_repeated_event_without_its_preview_is_no_news() -> None:
    meter = Meter({"denoise": 4})
    assert meter.read(report("denoise", 0.25, b"jpeg")) == Progress("drawing", 1, 4, b"jpeg")
    assert meter.read(report("denoise", 0.25)) is None


def test_phases_are_told_by_words_and_nodes() -> None:
    meter = Meter({"denoise": 4})
    phases = [
        meter.at("waiting"),
        meter.read(report("positive")),
        meter.read(Stepped("b", "positive", "Building conditioning")),
        meter.read(report("denoise")),
        meter.read(report("denoise", 1.0)),
        meter.read(Stepped("b", "l2i", "Running VAE decoder")),
        meter.finished(),
    ]
    assert [p.phase if p else None for p in phases] == [
        "waiting",
        "loading",
        "encoding",
        "loading",
        "drawing",
        "decoding",
        None,
    ]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["denoise", "denoise_2", "l2i", "stranger"]),
            st.none() | st.floats(0, 1),
        )
    )
)
def test_it_never_falls_and_never_exceeds(reports: list[tuple[str, float | None]]) -> None:
    meter = Meter({"denoise": 7, "denoise_2": 3})
    seen = [p.step for r in reports if (p := meter.read(report(*r))) is not None]
    assert seen == sorted(seen)
    assert all(0 <= step <= 10 for step in seen)


def test_a_picture_without_steps_is_finished_at_once() -> None:
    assert Meter({"denoise": 0}).finished() == Progress("drawing", 1, 1)
