"""Shows one picture while it is drawn, not more often than anybody looks."""

from concurrent.futures import Future

from engines.diffusers.session import Session
from engines.diffusers.studio import Studio
from engines.diffusers.work import Work


class Showing:
    """The previews of one picture; used by the drawing thread alone."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._coming: Future[bytes] | None = None
        self._untold: bytes | None = None
        self._began = studio.clock()

    def look(self, session: Session, work: Work) -> None:
        """Begin a preview of the step that was just taken, if it is time for one."""
        studio = self._studio
        if not 0 < studio.settings.preview_seconds <= studio.clock() - self._began:
            return
        # Where every step takes longer than that, the last one's preview is still to be told.
        self._untold = self.take()
        if self._coming is not None:
            return
        checkpoint = studio.loader.get(work.model, work.rung)
        self._coming = studio.previews.make(session.sampler.clean, checkpoint)
        self._began = studio.clock()

    def take(self) -> bytes | None:
        """Return the preview that was finished since the last call, if any."""
        if self._coming is not None and self._coming.done():
            self._untold = self._coming.result() or None
            self._coming = None
        preview, self._untold = self._untold, None
        return preview
