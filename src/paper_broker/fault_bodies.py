"""Bodies of the responses that faults produce."""

import zlib
from collections.abc import Iterator
from http import HTTPStatus
from json import dumps

from paper_broker.faults import Fault

JSON = "application/json; charset=UTF-8"
_MEGABYTE = 1 << 20
_GZIP_FORMAT = 31
"""Argument of zlib for a gzip header and the largest window."""
_HEAD, _TAIL = b'{"message": "', b'"}'


def error_body(fault: Fault) -> tuple[bytes, str]:
    """Return the body of a ``status`` fault, and its content type."""
    reason = _reason(fault.status)
    if fault.body == "json":
        code = {} if fault.code is None else {"code": fault.code}
        return dumps({**code, "message": reason.lower() if fault.message is None else fault.message}).encode(), JSON
    title = reason if fault.message is None else fault.message
    page = f"<html><body><h1>{fault.status} {title}</h1></body></html>" if fault.body == "html" else ""
    return page.encode(), "text/html"


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:  # such as 499, which gateways use for a client that closed the connection
        return "Unregistered Status"


def oversize_length(megabytes: int) -> int:
    """Return the bytes of a body that :func:`oversize_pieces` returns."""
    return len(_HEAD) + megabytes * _MEGABYTE + len(_TAIL)


def oversize_pieces(megabytes: int) -> Iterator[bytes]:
    """Return a JSON object with one long string, in pieces of at most a megabyte."""
    yield _HEAD
    filler = b"x" * _MEGABYTE
    for _ in range(megabytes):
        yield filler
    yield _TAIL


def oversize_gzip(megabytes: int) -> bytes:
    """Return the same object compressed, about a thousandth of its size."""
    compressor = zlib.compressobj(wbits=_GZIP_FORMAT)
    pieces = [compressor.compress(piece) for piece in oversize_pieces(megabytes)]
    return b"".join([*pieces, compressor.flush()])
