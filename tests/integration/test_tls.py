"""TLS to the broker: whose certificate is believed. Keys and orders reach no other server."""

from __future__ import annotations

import io
import ssl
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier

import pytest
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from rebalance_executor.adapters.alpaca import connection as connections
from rebalance_executor.adapters.alpaca.client import AlpacaApi
from tests.support.certificates import CertificateAuthority
from tests.support.processes import LOOPBACK
from tests.support.raw_server import End, RawServer, http, raw_server

ORDER = {"symbol": "SPY", "client_order_id": "one"}


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CertificateAuthority]:
    """The only authority that the client trusts."""
    authority = CertificateAuthority(tmp_path)
    monkeypatch.setattr(connections, "DEFAULT_CA_BUNDLE_PATH", str(authority.bundle))
    connections.tls_context.cache_clear()
    yield authority
    connections.tls_context.cache_clear()


def an_api(server: RawServer, *, url: str | None = None, connect_seconds: float = 5.0) -> AlpacaApi:
    return AlpacaApi(("key", "secret"), url or server.url, lambda: (connect_seconds, 5.0), lambda _: None)


def test_server_with_its_own_certificate_gets_the_order(authority: CertificateAuthority) -> None:
    with raw_server(authority.server(LOOPBACK)) as server:
        api = an_api(server)
        api.get("/account")
        api.post("/orders", ORDER)
        api.close()

    assert server.lines == ["GET /v2/account", "POST /v2/orders"]
    assert len(server.connections) == 1


def expired(authority: CertificateAuthority) -> ssl.SSLContext:
    return authority.server(LOOPBACK, expires=datetime.now(UTC) - timedelta(hours=1))


def of_another_authority(authority: CertificateAuthority) -> ssl.SSLContext:
    folder = authority.bundle.parent / "other"
    folder.mkdir()
    return CertificateAuthority(folder).server(LOOPBACK)


WRONG: Mapping[str, Callable[[CertificateAuthority], ssl.SSLContext]] = {
    "other host": lambda authority: authority.server("paper-api.alpaca.markets"),
    "other address": lambda authority: authority.server("127.0.0.2"),
    "expired": expired,
    "other authority": of_another_authority,
}


@pytest.mark.parametrize("certificate", WRONG.values(), ids=WRONG)
def test_server_with_a_wrong_certificate_gets_nothing(
    authority: CertificateAuthority, certificate: Callable[[CertificateAuthority], ssl.SSLContext]
) -> None:
    with raw_server(certificate(authority)) as server:
        with pytest.raises(ssl.SSLCertVerificationError):
            an_api(server).post("/orders", ORDER)
        server.wait_for_end(0)

    assert server.requests == []


def test_name_of_the_host_is_checked_and_sent(authority: CertificateAuthority) -> None:
    context = authority.server("localhost")
    names: list[str | None] = []
    context.sni_callback = lambda _socket, name, _context: names.append(name)
    with raw_server(context) as server:
        api = an_api(server, url=f"https://localhost:{server.port}")
        api.get("/account")
        api.close()

    assert names == ["localhost"]


def test_old_versions_of_tls_are_refused(authority: CertificateAuthority) -> None:
    context = authority.server(LOOPBACK)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with raw_server(context) as server, pytest.raises(ssl.SSLError):
        an_api(server).post("/orders", ORDER)

    assert server.requests == []


def test_server_that_does_not_answer_in_tls_gets_nothing(
    authority: CertificateAuthority,
) -> None:
    with raw_server() as server, pytest.raises(TimeoutError):
        an_api(server, url=server.url.replace("http:", "https:"), connect_seconds=0.2).post("/orders", ORDER)

    assert server.requests == []


def test_order_after_a_closed_connection_is_sent_once_over_a_new_one(authority: CertificateAuthority) -> None:
    with raw_server(authority.server(LOOPBACK)) as server:
        server.answer((http(), End.CLOSE), http())
        api = an_api(server)
        api.get("/clock")
        server.wait_for_end(0)

        api.post("/orders", ORDER)
        api.close()

    assert server.lines == ["GET /v2/clock", "POST /v2/orders"]
    assert [request.connection for request in server.requests] == [0, 1]


def test_connection_is_not_used_again_after_bytes_that_were_not_asked_for(authority: CertificateAuthority) -> None:
    """They come in the record of the response and begin where the client's buffer ends."""
    text = "x" * (io.DEFAULT_BUFFER_SIZE - len(http(b'""' + b" " * 8_000)) + 8_000)
    answer = http(f'"{text}"'.encode())
    with raw_server(authority.server(LOOPBACK)) as server:
        server.answer(answer + http(b'{"false": true}'), http())
        api = an_api(server)
        assert api.get("/first") == text
        assert api.post("/orders", ORDER) == {}
        api.close()

    assert len(answer) == io.DEFAULT_BUFFER_SIZE
    assert [request.connection for request in server.requests] == [0, 1]


def test_default_trust_is_that_of_requests() -> None:
    connections.tls_context.cache_clear()
    context, expected = connections.tls_context(), ssl.create_default_context(cafile=DEFAULT_CA_BUNDLE_PATH)

    assert context.get_ca_certs() == expected.get_ca_certs() != []
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.verify_flags == expected.verify_flags


def test_connections_that_are_needed_together_are_opened_together(authority: CertificateAuthority) -> None:
    all_accepted = Barrier(3, timeout=5)
    with raw_server(authority.server(LOOPBACK), before_tls=all_accepted.wait) as server:
        api = an_api(server)
        answers = api.ask(
            [("GET", f"/{number}", None) for number in range(3)]
        )()  # one by one, the first would time out
        api.close()

    assert answers == [{}, {}, {}]
    assert sorted(server.lines) == ["GET /v2/0", "GET /v2/1", "GET /v2/2"]
