import io

from PIL import Image

from engines.comfyui.previews import as_jpeg


def encoded(kind: str, side: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (side, side), "teal").save(out, kind)
    return out.getvalue()


def test_a_jpeg_stays_as_it_is() -> None:
    assert as_jpeg(encoded("JPEG", 8)) == encoded("JPEG", 8)


def test_another_picture_becomes_a_small_jpeg() -> None:
    image = as_jpeg(encoded("PNG", 1024))
    assert image is not None
    with Image.open(io.BytesIO(image)) as picture:
        assert picture.format == "JPEG"
        assert picture.size == (512, 512)


def test_what_is_no_picture_is_no_preview() -> None:
    assert as_jpeg(b"") is None
    assert as_jpeg(encoded("PNG", 64)[:40]) is None
