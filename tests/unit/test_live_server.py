"""The server of ``rebalance serve``: loopback only, read-only, and few reads of the journal."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from rebalance_cli.live_server import LatestState, page_server

FILES = {"/": ("text/html", "<p>page</p>"), "/live.js": ("text/javascript", "1")}


@contextmanager
def served(read: Callable[[], str]) -> Iterator[tuple[str, int]]:
    """Yield host and port of a server whose state is read in a thread, which stands for that of the command."""
    state = LatestState(read)
    with page_server(FILES, state, 0) as url:
        reader = threading.Thread(target=state.keep_reading)
        reader.start()
        host, port = url.removeprefix("http://").rstrip("/").split(":")
        yield host, int(port)
    reader.join(5)
    assert not reader.is_alive(), "the reader ends with the server"


def request(
    address: tuple[str, int], path: str = "/", method: str = "GET", host: str | None = None
) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection(*address, timeout=5)
    connection.request(method, path, headers={"Host": host} if host is not None else {})
    return connection.getresponse()


@pytest.fixture
def address() -> Iterator[tuple[str, int]]:
    with served(lambda: "<section>état</section>") as address:
        yield address


def test_page_its_files_and_its_state_are_served_on_loopback(address: tuple[str, int]) -> None:
    assert address[0] == "127.0.0.1"
    answers = {path: request(address, path) for path in ("/", "/?x=1", "/live.js", "/state", "/../etc/passwd", "/x")}

    assert {path: answer.status for path, answer in answers.items()} == {
        "/": 200,
        "/?x=1": 200,
        "/live.js": 200,
        "/state": 200,
        "/../etc/passwd": 404,
        "/x": 404,
    }
    assert answers["/state"].read().decode() == "<section>état</section>"
    assert answers["/live.js"].headers["Content-Type"] == "text/javascript; charset=utf-8"


def test_every_answer_forbids_other_sources_and_frames(address: tuple[str, int]) -> None:
    for path in ("/", "/state", "/missing"):
        headers = request(address, path).headers
        policy = headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'")
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert (headers["X-Content-Type-Options"], headers["Cache-Control"]) == ("nosniff", "no-store")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_nothing_but_reading_is_allowed(address: tuple[str, int], method: str) -> None:
    answer = request(address, "/state", method)

    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")


def test_head_has_no_body(address: tuple[str, int]) -> None:
    answer = request(address, "/", "HEAD")

    assert (answer.status, answer.headers["Content-Length"], answer.read()) == (200, "11", b"")


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "", "localhost"])
def test_request_with_the_name_of_another_host_reads_nothing(address: tuple[str, int], host: str) -> None:
    """A page of another site could otherwise read the journal (DNS rebinding)."""
    answer = request(address, "/state", host=host.format(port=address[1]))

    assert answer.status == 403
    assert b"section" not in answer.read()


def test_localhost_with_the_port_is_this_server(address: tuple[str, int]) -> None:
    assert request(address, "/state", host=f"localhost:{address[1]}").status == 200


def test_state_is_read_in_the_thread_of_the_command_only() -> None:
    threads: set[str] = set()

    def read() -> str:
        threads.add(threading.current_thread().name)
        return "state"

    state = LatestState(read)
    with page_server(FILES, state, 0) as url:
        port = int(url.rstrip("/").rpartition(":")[2])
        answers: list[int] = []

        def ask() -> None:
            answers.append(request(("127.0.0.1", port), "/state").status)
            state.close()

        asker = threading.Thread(target=ask)
        asker.start()
        state.keep_reading()
        asker.join()

    assert answers == [200]
    assert threads == {threading.current_thread().name}


@pytest.mark.parametrize(("seconds", "reads"), [(0.9, 1), (1.1, 2)])
def test_state_is_read_again_when_it_is_older_than_a_second(seconds: float, reads: int) -> None:
    now, texts = [100.0], iter(["first", "second"])
    state = LatestState(lambda: next(texts), clock=lambda: now[0])
    reader = threading.Thread(target=state.keep_reading)
    reader.start()

    assert [state.get(), state.get()] == ["first", "first"], "asked twice, read once"
    now[0] += seconds
    assert state.get() == ["first", "second"][reads - 1]
    state.close()
    reader.join(5)


def test_without_any_state_the_answer_is_unavailable() -> None:
    state = LatestState(lambda: "never")
    with page_server(FILES, state, 0) as url:
        state.close()  # as if the command had ended before its first read
        port = int(url.rstrip("/").rpartition(":")[2])
        assert request(("127.0.0.1", port), "/state").status == 503


def test_port_that_is_in_use_is_an_error(address: tuple[str, int]) -> None:
    with pytest.raises(OSError, match="in use"), page_server(FILES, LatestState(str), address[1]):
        pass
