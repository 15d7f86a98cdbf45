"""Stored pictures."""

from collections.abc import Sequence
from datetime import datetime

from typing_extensions import TypedDict


class ArtifactView(TypedDict):
    """A stored picture; `meta_key` is the JSON beside it, `size` its bytes."""

    key: str
    meta_key: str
    index: int
    seed: int
    width: int
    height: int
    size: int
    sha256: str
    url: str
    thumb_url: str


class PictureView(ArtifactView):
    """A stored picture as lists show it."""

    last_modified: datetime
    job_id: str
    engine: str
    model: str
    prompt: str
    negative_prompt: str
    tags: Sequence[str]


class PicturePage(TypedDict):
    """Pictures, newest first; `next_cursor` asks for those after them."""

    items: list[PictureView]
    next_cursor: str | None


class ImageRefView(TypedDict):
    """A picture for other tools: where its bytes are, and what it shows."""

    id: str
    key: str
    downloadUrl: str
    storageUri: str
    title: str
    caption: str
    friendlyName: str
    source: str


class SelectedView(TypedDict):
    """The picture that was selected."""

    imageRef: ImageRefView
