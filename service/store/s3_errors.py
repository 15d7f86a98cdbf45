"""What the answers of an S3 server mean for us."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import aiohttp
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as BotoConnectionError

from scheduler.errors import NotStoredError, StoreDownError, StoreError

MISSING: Final = {"NoSuchKey", "404", "NotFound"}
_REFUSED: Final = {
    "InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied", "403", "Forbidden",
    "InvalidAccessKey", "ExpiredToken", "InvalidToken",
}  # fmt: skip
_MAY_WORK_LATER: Final = {
    "SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "Throttling",
    "QuotaExceeded", "XMinioStorageFull", "XMinioServerNotInitialized", "NoSuchBucket",
}  # fmt: skip
_SERVER_FAULT: Final = 500


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn botocore's and aiohttp's errors into the store's: the one place where that is done.

    Messages name the server's code and nothing of the request, so no secret can leak.
    """
    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if code in MISSING:
            raise NotStoredError(f"{what} is not there") from error
        if code in _REFUSED:
            raise StoreError(
                f"the S3 server refuses S3_ACCESS_KEY and S3_SECRET_KEY for {what} ({code})"
            ) from error
        if code in _MAY_WORK_LATER or status >= _SERVER_FAULT:
            raise StoreDownError(f"the S3 server cannot serve {what} now ({code})") from error
        raise StoreError(f"the S3 server refuses {what} ({code})") from error
    except (BotoConnectionError, HTTPClientError, aiohttp.ClientError, TimeoutError) as error:
        raise StoreDownError(
            f"the S3 server does not answer for {what} ({type(error).__name__})"
        ) from error
    except (BotoCoreError, ValueError) as error:
        raise StoreError(f"{what}: {error}") from error
