"""What can go wrong while an engine draws, each with a code that clients and metrics may rely on.

EngineError
├── InvalidSpecError        invalid_spec      the spec cannot be drawn by this engine
│   └── ModelNotFoundError  model_not_found   the engine does not have that model
├── OutOfMemoryError        out_of_memory     the device is too small for the spec
├── BadPictureError         bad_picture       what came back is no picture of that spec
└── LostError               (not raised itself) the engine, not the spec, is at fault
    ├── EngineDownError     engine_down       nobody answers, or the work was lost
    ├── EngineTimeoutError  engine_timeout    it answers, but the picture does not come
    └── EngineProtocolError engine_protocol   it answered something that it never should
"""

from typing import ClassVar


class EngineError(Exception):
    """An engine failed to draw a picture.

    Attributes:
        code: Stable name of the failure.
        worth_retrying: Whether the same spec may succeed when it is tried again.
        detail: The engine's own words, for people.
    """

    code: ClassVar[str] = "engine_error"
    worth_retrying: ClassVar[bool] = False

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail or (self.__doc__ or "").splitlines()[0])
        self.detail = str(self)


class InvalidSpecError(EngineError):
    """The engine cannot draw this spec.

    Attributes:
        field: The name of the spec's field at fault, empty when it is not one field.
    """

    code = "invalid_spec"

    def __init__(self, detail: str = "", *, field: str = "") -> None:
        super().__init__(detail)
        self.field = field


class ModelNotFoundError(InvalidSpecError):
    """The engine does not have that model."""

    code = "model_not_found"

    def __init__(self, detail: str = "", *, field: str = "model") -> None:
        super().__init__(detail, field=field)


class OutOfMemoryError(EngineError):
    """The device is too small for this spec."""

    code = "out_of_memory"


class BadPictureError(EngineError):
    """What the engine returned is not a picture of this spec."""

    code = "bad_picture"
    worth_retrying = True


class LostError(EngineError):
    """The engine, not the spec, is at fault; the picture may be drawn later."""

    code = "engine_lost"
    worth_retrying = True


class EngineDownError(LostError):
    """The engine does not answer, or has lost the work."""

    code = "engine_down"


class EngineTimeoutError(LostError):
    """The engine answers, but the picture did not come in time."""

    code = "engine_timeout"


class EngineProtocolError(LostError):
    """The engine answered what it never should."""

    code = "engine_protocol"
