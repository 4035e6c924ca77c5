"""Which account is found, and what is refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from qawait.errors import ConfigError
from qawait.ibm.account import Access, Account, resolve_access
from qawait.secret import Secret
from support.leaks import shown

if TYPE_CHECKING:
    from pathlib import Path

KEY = "canary-api-key-0123456789"
CRN = "crn:v1:bluemix:public:quantum-computing:us-east:a/0123456789abcdef:11111111-2222-3333::"
CRN_EU = CRN.replace("us-east", "eu-de")
PLATFORM = "ibm_quantum_platform"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home directory without saved accounts."""
    return tmp_path


def save(home: Path, accounts: object) -> Path:
    """Write a file of saved accounts as IBM's client does."""
    path = home / ".qiskit" / "qiskit-ibm.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(accounts, sort_keys=True, indent=4))
    return path


def entry(token: str, **fields: Any) -> dict[str, Any]:
    """Return one saved account."""
    return {"channel": PLATFORM, "token": token, "instance": CRN} | fields


def access(home: Path, **arguments: Any) -> Access:
    """Resolve without the variables of whoever runs the tests."""
    return resolve_access(home=home, **{"environ": {}} | arguments)


def resolve(home: Path, **arguments: Any) -> Account:
    """Resolve an account whose instance is known by its CRN."""
    found = access(home, **arguments)
    assert found.crn is not None
    return found.account(found.crn)


def refusal(home: Path, **arguments: Any) -> str:
    """Return the text of the refusal, which shows no key wherever one looks."""
    with pytest.raises(ConfigError) as caught:
        resolve(home, **arguments)
    assert KEY not in shown(caught.value).replace(repr(arguments), "")
    return str(caught.value)


def test_arguments_are_enough(home: Path) -> None:
    """A key and a CRN make an account with the usual addresses."""
    account = resolve(home, token=KEY, instance=CRN)
    assert account.token == Secret(KEY)
    assert account.instance == CRN
    assert account.url == "https://quantum.cloud.ibm.com/api/v1"
    assert account.iam_url == "https://iam.cloud.ibm.com"


SAVED = {
    "default-ibm-cloud": entry("cloud", channel="ibm_cloud"),
    "default-ibm-quantum-platform": entry("named"),
    "marked": entry("marked", is_default_account=True),
    "work": entry("work"),
}
ENV = {"QISKIT_IBM_TOKEN": "env", "QISKIT_IBM_INSTANCE": CRN}


@pytest.mark.parametrize(
    ("without", "arguments", "expected"),
    [
        pytest.param((), {"name": "work", "token": None}, "work", id="name"),
        pytest.param((), {"name": "work", "environ": ENV}, "work", id="name over variables"),
        pytest.param((), {"name": "work", "token": "arg"}, "arg", id="argument over its field"),
        pytest.param((), {"token": "arg", "environ": ENV}, "arg", id="token over variables"),
        pytest.param((), {"environ": ENV}, "env", id="variables over the file"),
        pytest.param((), {}, "marked", id="marked as default"),
        pytest.param(("marked",), {}, "named", id="default name"),
        pytest.param(("marked", "default-ibm-quantum-platform"), {}, "work", id="any"),
        pytest.param(
            ("marked", "default-ibm-quantum-platform", "work"), {}, "cloud", id="other channel"
        ),
        pytest.param(
            (), {"environ": {"QISKIT_IBM_CHANNEL": "ibm_cloud"}}, "cloud", id="channel variable"
        ),
        pytest.param(
            ("default-ibm-cloud",),
            {"environ": {"QISKIT_IBM_CHANNEL": "ibm_cloud"}},
            "marked",
            id="no account of the channel",
        ),
    ],
)
def test_precedence(
    home: Path, without: tuple[str, ...], arguments: dict[str, Any], expected: str
) -> None:
    """The first source that exists counts, in the order of IBM's client."""
    save(home, {name: saved for name, saved in SAVED.items() if name not in without})
    assert resolve(home, **{"instance": CRN} | arguments).token == Secret(expected)


def test_another_file(home: Path) -> None:
    """`filename` goes before the variables and takes that file's default."""
    path = save(home, {"x": entry("other", is_default_account=True)})
    path = path.rename(home / "other.json")
    assert resolve(home, filename=str(path), environ=ENV).token == Secret("other")


def test_accounts_of_the_retired_channel_are_passed_over(home: Path) -> None:
    """Entries of the channel `ibm_quantum` are as if absent."""
    save(home, {"old": entry("old", channel="ibm_quantum"), "new": entry("new")})
    assert resolve(home).token == Secret("new")


def test_the_default_environment_is_the_process_s(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without `environ` the variables of the process count."""
    for key, value in ENV.items():
        monkeypatch.setenv(key, value)
    monkeypatch.delenv("QISKIT_IBM_URL", raising=False)
    monkeypatch.delenv("IAM_URL", raising=False)
    assert resolve_access(home=home).token == Secret("env")


def test_variables_complete_a_token_that_is_given(home: Path) -> None:
    """Instance and URL of the environment serve a token that is an argument."""
    variables = {"QISKIT_IBM_INSTANCE": CRN_EU, "QISKIT_IBM_URL": "http://127.0.0.1:8765/x/api/v1"}
    account = resolve(home, token=KEY, environ=variables)
    assert (account.instance, account.url) == (CRN_EU, "http://127.0.0.1:8765/x/api/v1")


def test_a_saved_key_does_not_follow_a_url_of_the_environment(home: Path) -> None:
    """`QISKIT_IBM_URL` alone does not send a saved key anywhere."""
    save(home, {"work": entry(KEY)})
    account = resolve(home, environ={"QISKIT_IBM_URL": "http://127.0.0.1:1/api/v1"})
    assert account.url == "https://quantum.cloud.ibm.com/api/v1"


def test_a_saved_account_may_lack_an_instance(home: Path) -> None:
    """The instance then comes from the environment."""
    save(home, {"work": {"channel": PLATFORM, "token": KEY}})
    assert resolve(home, environ={"QISKIT_IBM_INSTANCE": CRN_EU}).instance == CRN_EU


URL_TABLE = [
    ({}, "https://quantum.cloud.ibm.com/api/v1", "https://iam.cloud.ibm.com"),
    ({"url": "https://cloud.ibm.com/"}, "https://quantum.cloud.ibm.com/api/v1", None),
    ({"instance": CRN_EU}, "https://eu-de.quantum.cloud.ibm.com/api/v1", None),
    ({"url": "https://quantum.cloud.ibm.com"}, "https://quantum.cloud.ibm.com/api/v1", None),
    ({"url": "https://x.org/a/b/"}, "https://x.org/a/b", "https://iam.cloud.ibm.com"),
    ({"url": "HTTPS://X.Org:8443/a"}, "https://x.org:8443/a", None),
    ({"url": "http://127.0.0.1:8765"}, "http://127.0.0.1:8765/api/v1", "http://127.0.0.1:8765"),
    ({"url": "http://LOCALHOST:1/e/api/v1"}, "http://localhost:1/e/api/v1", "http://localhost:1"),
    ({"url": "http://[::1]:5/api/v1/"}, "http://[::1]:5/api/v1", "http://[::1]:5"),
    ({"url": "http://127.9.9.9/a"}, "http://127.9.9.9/a", "http://127.9.9.9"),
    (
        {"url": "http://127.0.0.1:1/a", "iam_url": "http://127.0.0.1:2/"},
        "http://127.0.0.1:1/a",
        "http://127.0.0.1:2",
    ),
    (
        {"url": "http://127.0.0.1:1/a", "environ": {"IAM_URL": "http://127.0.0.1:3"}},
        "http://127.0.0.1:1/a",
        "http://127.0.0.1:3",
    ),
    ({"instance": CRN.replace("bluemix", "staging")}, None, "https://iam.test.cloud.ibm.com"),
]


@pytest.mark.parametrize(("arguments", "url", "iam_url"), URL_TABLE)
def test_addresses(
    home: Path, arguments: dict[str, Any], url: str | None, iam_url: str | None
) -> None:
    """API and IAM follow from URL and CRN; for a local API the key stays local."""
    account = resolve(home, **{"token": KEY, "instance": CRN} | arguments)
    assert url in {None, account.url}
    assert iam_url in {None, account.iam_url}


def test_a_private_endpoint(home: Path) -> None:
    """A saved account may ask for the private addresses."""
    save(home, {"work": entry(KEY, private_endpoint=True, instance=CRN_EU)})
    account = resolve(home)
    assert account.url == "https://private.eu-de.quantum.cloud.ibm.com/api/v1"
    assert account.iam_url == "https://private.iam.cloud.ibm.com"


def test_a_private_endpoint_that_is_asked_for(home: Path) -> None:
    """The argument goes before what is saved, either way."""
    save(home, {"work": entry(KEY)})
    assert resolve(home, private_endpoint=True).url.startswith("https://private.us-east.quantum.")
    save(home, {"work": entry(KEY, private_endpoint=True)})
    assert resolve(home, private_endpoint=False).iam_url == "https://iam.cloud.ibm.com"


@pytest.mark.parametrize(
    "url",
    [
        "http://quantum.cloud.ibm.com",
        "http://localhost.evil.example",
        "http://127.0.0.1.evil.example/api/v1",
        "http://127.0.0.1@evil.example/api/v1",
        "http://evil.example#@127.0.0.1/",
        "http://127.1/api/v1",
        "http://0x7f.1/api/v1",
        "http://2130706433/api/v1",
        "http://0.0.0.0/api/v1",
        "http://[::ffff:127.0.0.1]/api/v1",
        "http://[::1%25eth0]/api/v1",
        "http://localhost./api/v1",
        "http://localhost\\@evil.example/api/v1",
        "http://1o7.0.0.1/",
        "http://lоcalhost/",  # noqa: RUF001 - a Cyrillic look-alike is the point
        "https://user:pass@quantum.cloud.ibm.com",
        "https://quantum.cloud.ibm.com/api/v1?key=1",
        "https://quantum.cloud.ibm.com/api/v1#x",
        "https://quantum.cloud.ibm.com/api/../v1",
        "https://quantum.cloud.ibm.com:99999/api",
        "https://quantum cloud/api",
        "https://x.org/a\r\nX: y",
        "https:///api/v1",
        "ftp://quantum.cloud.ibm.com",
        "quantum.cloud.ibm.com",
        "https://[::1",
    ],
)
@pytest.mark.parametrize("which", ["url", "iam_url"])
def test_an_address_that_could_leak_is_refused(home: Path, url: str, which: str) -> None:
    """Unencrypted, look-alike, ambiguous or credential-bearing addresses are no addresses."""
    said = refusal(home, token=KEY, instance=CRN, **{which: url})
    assert "pass@" not in said


@pytest.mark.parametrize(
    ("instance", "said"),
    [
        ("crn:v1:bluemix:public:quantum-computing", "not a complete CRN"),
        (CRN.replace("us-east", "evil.example/"), "not a complete CRN"),
        (CRN.replace("quantum-computing", "cloud-object-storage"), "names the service"),
        (CRN + "\r\nX-Header: 1", "not a complete CRN"),
    ],
)
def test_an_instance_that_is_no_crn_is_refused(home: Path, instance: str | None, said: str) -> None:
    """The refusal says what is wrong and where a CRN is found."""
    text = refusal(home, token=KEY, instance=instance)
    assert said in text
    assert "Instances page" in text or "is needed" in text


def test_no_account_at_all(home: Path) -> None:
    """The refusal names all three ways to give one."""
    said = refusal(home)
    assert all(way in said for way in ("token=", "QISKIT_IBM_TOKEN", "save_account"))


def test_an_unknown_name_names_the_known(home: Path) -> None:
    """A wrong name is answered with the right ones."""
    save(home, {"work": entry(KEY), "home": entry(KEY)})
    assert "known: home, work" in refusal(home, name="wrok")


@pytest.mark.parametrize(
    "content", [b"{", b"[]", b'{"a": 1}', b"\xff\xfe", b"[" * 100_000, b" " * 2**21]
)
def test_a_malformed_file_is_refused(home: Path, content: bytes) -> None:
    """The refusal names the file."""
    path = save(home, {})
    path.write_bytes(content)
    assert str(path) in refusal(home)


def test_a_malformed_file_with_a_key_does_not_show_it(home: Path) -> None:
    """Neither the error nor the locals of its frames hold the text of the file."""
    save(home, {}).write_text('{"work": {"token": "' + KEY + '", ')
    assert "is not JSON" in refusal(home)


def test_an_unreadable_file_is_refused(home: Path) -> None:
    """A directory in its place is named as the fault."""
    (home / ".qiskit" / "qiskit-ibm.json").mkdir(parents=True)
    assert "cannot be read" in refusal(home)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"token": ""}, "no API key"),
        ({"token": 5}, "no API key"),
        ({"instance": 5}, "instance must be a text"),
        ({"url": []}, "url must be a text"),
        ({"verify": False}, "verify"),
        ({"verify": 3}, "verify"),
        ({"proxies": {"urls": "x"}}, "proxies"),
        ({"proxies": ["x"]}, "proxies"),
        ({"proxies": {"urls": {}, "username_ntlm": "u"}}, "NTLM"),
        ({"proxies": {"urls": {"https": "socks5://p:1"}}}, "proxy"),
    ],
)
def test_a_field_that_cannot_be_used_is_refused(
    home: Path, fields: dict[str, Any], said: str
) -> None:
    """Each wrong field of a saved account is named."""
    save(home, {"work": entry(KEY) | fields})
    assert said in refusal(home)


def test_proxy_and_certificates_of_a_saved_account(home: Path) -> None:
    """The proxy may hold a password, so it is a secret; a path in `verify` is kept."""
    proxies = {"urls": {"https": "http://u:canary-password@p:3128"}}
    save(home, {"work": entry(KEY, proxies=proxies, verify="/etc/ca.pem")})
    account = resolve(home)
    assert account.proxy == Secret("http://u:canary-password@p:3128")
    assert account.ca_file == "/etc/ca.pem"
    assert "canary" not in repr(account)


def test_a_local_api_needs_no_proxy(home: Path) -> None:
    """Nothing that stays on this machine goes through a proxy."""
    proxies = {"urls": {"https": "http://p:3128"}}
    save(home, {"work": entry(KEY, proxies=proxies, url="http://127.0.0.1:1")})
    assert resolve(home).proxy is None


def test_an_unknown_channel_is_refused(home: Path) -> None:
    """A channel that does not exist is answered with those that do."""
    assert "ibm_cloud" in refusal(home, environ={"QISKIT_IBM_CHANNEL": "ibm_quantum"})


def test_the_environment_is_in_no_frame(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refusal's frames do not hold the variables, which have the key."""
    monkeypatch.setenv("QISKIT_IBM_TOKEN", KEY)
    monkeypatch.setenv("QISKIT_IBM_INSTANCE", "crn:v1:none")
    with pytest.raises(ConfigError) as caught:
        resolve_access(home=home)
    assert KEY not in shown(caught.value)


def test_resolving_prints_and_warns_nothing(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The account is returned and nothing is said."""
    save(home, SAVED)
    resolve(home)
    assert capsys.readouterr() == ("", "")
