"""Which proxy stands before which address, and which certificates are trusted."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import pytest
from anyio.streams.tls import TLSStream

import qawait
from qawait.errors import ConfigError
from qawait.ibm.certificates import trusting, usual_certificates
from qawait.ibm.proxies import Proxies
from qawait.secret import Secret
from support.leaks import shown
from support.tcp import answer, read_request, tcp_server
from support.tls import certificate, server_side

if TYPE_CHECKING:
    from pathlib import Path

    from anyio.abc import SocketStream

API = "https://quantum.cloud.ibm.com/api/v1"
IAM = "https://iam.cloud.ibm.com"
CRN = "crn:v1:bluemix:public:quantum-computing:us-east:a/0123456789abcdef:11111111-2222-3333::"


@pytest.mark.parametrize(
    ("urls", "api", "iam"),
    [
        ({"https": "http://p:1"}, "http://p:1", "http://p:1"),
        ({"all": "http://p:1"}, "http://p:1", "http://p:1"),
        ({"all": "http://p:1", "https": "http://p:2"}, "http://p:2", "http://p:2"),
        (
            {"https": "http://p:1", "https://iam.cloud.ibm.com": "http://p:2"},
            "http://p:1",
            "http://p:2",
        ),
        ({"all://iam.cloud.ibm.com": "http://p:2"}, None, "http://p:2"),
        ({"http": "http://p:1"}, None, None),
    ],
)
def test_of_an_account(urls: dict[str, str], api: str | None, iam: str | None) -> None:
    """The most exact key counts, as for IBM's own client."""
    proxies = Proxies.of_account({"urls": urls})
    assert proxies.before(API) == (api and Secret(api))
    assert proxies.before(IAM) == (iam and Secret(iam))


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"HTTPS_PROXY": "http://p:1"}, "http://p:1"),
        ({"https_proxy": "http://p:1", "HTTPS_PROXY": "http://p:2"}, "http://p:1"),
        ({"ALL_PROXY": "http://p:1"}, "http://p:1"),
        ({"ALL_PROXY": "socks5://p:1", "HTTPS_PROXY": "http://p:2"}, "http://p:2"),
        ({"HTTPS_PROXY": "p:3128"}, "http://p:3128"),
        ({"HTTP_PROXY": "http://p:1"}, None),
        ({"HTTPS_PROXY": ""}, None),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "*"}, None),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "x.org, .cloud.ibm.com"}, None),
        ({"HTTPS_PROXY": "http://p:1", "no_proxy": "cloud.ibm.com"}, None),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "quantum.cloud.ibm.com:443"}, None),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "quantum.cloud.ibm.com:80"}, "http://p:1"),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "ibm.co,m.com,"}, "http://p:1"),
    ],
)
def test_of_the_environment(variables: dict[str, str], expected: str | None) -> None:
    """The variables mean what they mean to other programs."""
    assert Proxies.of_environment(variables).before(API) == (expected and Secret(expected))


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:1/api", "https://localhost/api", "https://[::1]:5/api"]
)
def test_this_machine_has_no_proxy(address: str) -> None:
    """Neither a proxy of the account nor of the environment stands before the loopback."""
    assert Proxies.of_account({"urls": {"all": "http://p:1"}}).before(address) is None
    assert Proxies.of_environment({"ALL_PROXY": "http://p:1"}).before(address) is None


def test_an_unsupported_proxy_is_refused_where_it_would_be_used() -> None:
    """SOCKS in the environment is an error that says what to do, and quotes no password."""
    proxies = Proxies.of_environment({"ALL_PROXY": "socks5://u:canary@p:1"})
    with pytest.raises(ConfigError, match="NO_PROXY") as caught:
        proxies.before(API)
    text = shown(caught.value) + repr(proxies)
    assert "canary" not in text


@pytest.fixture
def clean(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Take away the variables of whoever runs the tests."""
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_certificates_of_the_environment(
    clean: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    """Each variable names the only certificates that are trusted."""
    pem = certificate(tmp_path)
    clean.setenv(name, str(pem))
    assert len(trusting().get_ca_certs()) == 1
    clean.setenv(name, str(tmp_path / "missing.pem"))
    with pytest.raises(ConfigError, match=r"missing\.pem"):
        trusting()


def test_a_folder_of_certificates(clean: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`REQUESTS_CA_BUNDLE` may name a folder; nothing else is trusted then."""
    clean.setenv("REQUESTS_CA_BUNDLE", str(tmp_path))
    assert usual_certificates() == str(tmp_path)
    assert trusting().get_ca_certs() == []


@pytest.mark.anyio
async def test_everything_goes_through_the_proxy_of_the_environment(
    clean: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """IAM and API are reached by tunnels, encrypted with the certificates given, and not else."""
    pem = certificate(tmp_path, address="192.0.2.1")
    asked: list[bytes] = []

    async def proxy(stream: SocketStream) -> None:
        head = await read_request(stream)
        await stream.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
        try:
            tls = await TLSStream.wrap(
                stream,
                server_side=True,
                ssl_context=server_side(pem),
                standard_compatible=False,
            )
        except ssl.SSLError:
            return
        request = await read_request(tls)
        asked.extend([head.split()[1], request.split()[1]])
        body = b'{"access_token":"t","expires_in":3600,"devices":[]}'
        await tls.send(answer(body))

    async with tcp_server(proxy) as origin:
        clean.setenv("HTTPS_PROXY", origin)
        async with qawait.connect(
            token="key",
            instance=CRN,
            url="https://192.0.2.1/api/v1",
            iam_url="https://192.0.2.1:8443",
            verify=str(pem),
        ) as client:
            assert await client.backends() == []
    assert asked == [
        b"192.0.2.1:8443",
        b"/identity/token",
        b"192.0.2.1:443",
        b"/api/v1/backends",
    ]
