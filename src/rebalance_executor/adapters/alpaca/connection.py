"""Connections to one host: opened several at a time, verified, and checked before they are used again."""

from __future__ import annotations

import os
import select
import socket
import ssl
import time
from collections.abc import Generator
from contextlib import suppress
from functools import cache

from requests.utils import DEFAULT_CA_BUNDLE_PATH

_MIN_HANDSHAKE_SECONDS = 0.2
"""Time for a handshake that was started long ago: others were completed before it."""


def opening(host: str, port: int, seconds: float, *, is_secure: bool) -> Generator[None, None, socket.socket]:
    """Open a connection within ``seconds``.

    Yields each time the other end has to answer before the next step. A caller that takes these steps in turn for
    several connections opens all of them in the time of one.

    Raises:
        OSError: there is no connection, or not to the right host.
    """
    until = time.monotonic() + seconds
    connection = yield from _connecting(host, port, until)
    try:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if is_secure:
            name = host.rstrip(".")
            secured = tls_context().wrap_socket(connection, server_hostname=name, do_handshake_on_connect=False)
            connection = secured
            with suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
                secured.do_handshake()  # does not wait: it only sends the first message
            yield
            secured.settimeout(max(until - time.monotonic(), _MIN_HANDSHAKE_SECONDS))
            secured.do_handshake()
    except BaseException:
        connection.close()
        raise
    return connection


def is_idle(connection: socket.socket) -> bool:
    """Return whether nothing has arrived on the connection: neither its end nor unrequested bytes."""
    if isinstance(connection, ssl.SSLSocket) and connection.pending():
        return False
    return not _is_ready(connection, select.POLLIN, 0)


@cache
def tls_context() -> ssl.SSLContext:
    """Return the context of all connections: it takes long to create. It trusts what ``requests`` trusts."""
    context = ssl.create_default_context(cafile=DEFAULT_CA_BUNDLE_PATH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


def _connecting(host: str, port: int, until: float) -> Generator[None, None, socket.socket]:
    """Connect to the first address of the host that accepts a connection; the socket does not block."""
    failure = OSError("the host has no address")
    for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        connection = socket.socket(family, kind, protocol)
        try:
            connection.setblocking(False)
            with suppress(BlockingIOError):
                connection.connect(address)
            yield
            _complete(connection, until)
        except OSError as error:
            connection.close()
            failure = error
        except BaseException:
            connection.close()
            raise
        else:
            return connection
    raise failure


def _complete(connection: socket.socket, until: float) -> None:
    """Wait until the connection is established."""
    if not _is_ready(connection, select.POLLOUT, max(until - time.monotonic(), 0)):
        raise TimeoutError("the connection took too long")
    if error := connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
        raise OSError(error, os.strerror(error))


def _is_ready(connection: socket.socket, event: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(connection, event)
    return bool(poll.poll(1000 * seconds))
