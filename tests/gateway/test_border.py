"""Who may ask: the token, loopback, other pages; and problems as documents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import httpx
import pytest

from qawait.errors import ConfigError
from qawait.gateway import Settings, create_app
from qawait.gateway.serve import parser, settings_of
from qawait.secret import Secret

if TYPE_CHECKING:
    from pathlib import Path

TOKEN = Secret("correct horse")
HERE = "http://127.0.0.1:8000"
RIGHT = {"Authorization": "Bearer correct horse"}


def asked(
    settings: Settings, method: str, path: str, *, base: str = HERE, **request: Any
) -> httpx.Response:
    """Return the answer of a gateway that does not run: 503 for whoever is let in."""

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(create_app(settings=settings))
        async with httpx.AsyncClient(transport=transport, base_url=base) as client:
            return await client.request(method, path, **request)

    return anyio.run(ask)


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic correct horse"}]
)
def test_without_the_token_nobody_is_let_in(headers: dict[str, str]) -> None:
    """A missing or wrong token is a 401 that names the scheme, as a problem document."""
    reply = asked(Settings(token=TOKEN), "GET", "/jobs", headers=headers)
    assert reply.status_code == 401
    assert reply.headers["www-authenticate"].startswith("Bearer")
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.json()["status"] == 401


def test_with_the_token_everybody_is_let_in() -> None:
    """The right token opens from any address."""
    settings = Settings(token=TOKEN)
    reply = asked(settings, "GET", "/jobs", base="http://lab.example", headers=RIGHT)
    assert reply.status_code == 503


@pytest.mark.parametrize("path", ["/", "/page/app.js", "/page/style.css", "/openapi.json"])
def test_the_page_needs_no_token(path: str) -> None:
    """The page, which knows of no job, can be had by whoever is to enter the token there."""
    assert asked(Settings(token=TOKEN), "GET", path).status_code == 200


@pytest.mark.parametrize("base", ["http://192.0.2.1", "http://lab.example", "http://[2001:db8::1]"])
def test_without_a_token_only_loopback_is_answered(base: str) -> None:
    """A gateway without a token refuses what does not come over a loopback address."""
    assert asked(Settings(), "GET", "/jobs", base=base).status_code == 403


@pytest.mark.parametrize("base", [HERE, "http://localhost:8000", "http://[::1]:8000"])
def test_without_a_token_loopback_is_answered(base: str) -> None:
    """On this machine no token is needed."""
    assert asked(Settings(), "GET", "/jobs", base=base).status_code == 503


def test_a_name_that_points_here_is_not_loopback() -> None:
    """A page whose host name was made to resolve to 127.0.0.1 is refused."""
    reply = asked(Settings(), "GET", "/jobs", headers={"Host": "evil.example"})
    assert reply.status_code == 403


def test_an_application_may_tell_by_itself_who_calls() -> None:
    """`authenticate=False` lets everybody in."""
    settings = Settings(authenticate=False)
    assert asked(settings, "GET", "/jobs", base="http://lab.example").status_code == 503


def test_other_pages_may_not_call() -> None:
    """CORS is closed: no answer allows another origin, and what it posts is refused."""
    foreign = {"Origin": "https://evil.example"}
    assert asked(Settings(), "POST", "/job/x/cancel", headers=foreign).status_code == 403
    reply = asked(Settings(), "GET", "/jobs", headers=foreign)
    preflight = {**foreign, "Access-Control-Request-Method": "POST"}
    for answer in (reply, asked(Settings(), "OPTIONS", "/run", headers=preflight)):
        assert "access-control-allow-origin" not in answer.headers


def test_a_page_that_was_named_may_call() -> None:
    """An origin in the settings passes the preflight and may post."""
    settings = Settings(token=TOKEN, origins=("https://lab.example",))
    origin = {"Origin": "https://lab.example"}
    preflight = {**origin, "Access-Control-Request-Method": "POST"}
    reply = asked(settings, "OPTIONS", "/run", headers=preflight)
    assert reply.headers["access-control-allow-origin"] == "https://lab.example"
    posted = asked(settings, "POST", "/run", headers={**origin, **RIGHT}, json={})
    assert posted.status_code == 503


def test_its_own_page_may_call() -> None:
    """The page that the gateway serves posts with its own origin."""
    assert asked(Settings(), "POST", "/run", headers={"Origin": HERE}, json={}).status_code == 503


def test_answers_bind_the_browser() -> None:
    """Nothing inline, nothing from elsewhere, and no sniffing."""
    reply = asked(Settings(), "GET", "/")
    policy = reply.headers["content-security-policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert reply.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/nowhere", 404), ("DELETE", "/jobs", 405)]
)
def test_what_is_not_there_is_a_problem_document(method: str, path: str, status: int) -> None:
    """Unknown paths and methods are told of as every other problem."""
    reply = asked(Settings(), method, path)
    assert reply.status_code == status
    assert reply.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "wrong",
    [
        {"token": Secret("")},
        {"origins": "https://a"},
        {"origins": ("a",)},
        {"shots": -1},
        {"streams": True},
        {"on_cancel": "stop"},
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, Any]) -> None:
    """A setting that cannot be meant is a `ConfigError`."""
    with pytest.raises(ConfigError):
        Settings(**wrong)


def test_strangers_need_a_token_by_default(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On an address that is not loopback, a token is made, kept private and not printed."""
    command = parser().parse_args(["--host", "0.0.0.0", "--folder", str(tmp_path / "g")])
    token = settings_of(command).token
    assert token is not None
    path = tmp_path / "g" / "token"
    assert path.stat().st_mode & 0o077 == 0
    printed = capsys.readouterr().out
    assert str(path) in printed
    assert token.reveal() not in printed
    assert settings_of(command).token == token


def test_loopback_needs_no_token(tmp_path: Path) -> None:
    """On loopback none is made; one in a file is used."""
    assert settings_of(parser().parse_args(["--folder", str(tmp_path)])).token is None
    (tmp_path / "t").write_text("mine\n")
    given = parser().parse_args(["--folder", str(tmp_path), "--token-file", str(tmp_path / "t")])
    assert settings_of(given).token == Secret("mine")
