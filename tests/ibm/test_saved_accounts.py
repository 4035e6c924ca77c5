"""Accounts saved, listed and deleted: one file for this client and IBM's."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

import qawait
from qawait import ConfigError
from qawait.ibm.account import resolve_access
from qawait.secret import Secret
from support.leaks import shown

if TYPE_CHECKING:
    from pathlib import Path

KEY = "canary-api-key-0123456789"
CRN = "crn:v1:bluemix:public:quantum-computing:us-east:a/0123456789abcdef:11111111-2222-3333::"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Name a file that is not there yet, in a folder that is not there either."""
    return tmp_path / "folder" / "accounts.json"


def save(file: Path, token: str = KEY, **fields: Any) -> None:
    """Save an account."""
    qawait.save_account(token, filename=file, **fields)


def content(file: Path) -> dict[str, Any]:
    """Return what the file holds."""
    found: dict[str, Any] = json.loads(file.read_text())
    return found


FIELDS: dict[str, Any] = {
    "name": "work",
    "instance": CRN,
    "region": "eu-de",
    "plans_preference": ["premium", "open"],
    "tags": ["lab"],
    "proxies": {"urls": {"https": "http://user:canary-password@proxy.example:3128"}},
    "private_endpoint": True,
    "set_as_default": True,
}


def test_ibms_client_reads_what_is_saved(file: Path) -> None:
    """An account saved here is, field by field, the one IBM's client finds."""
    from qiskit_ibm_runtime.accounts import AccountManager

    save(file, **FIELDS)
    found = AccountManager.get(filename=str(file), name="work")
    assert (found.token, found.instance, found.region) == (KEY, CRN, "eu-de")
    assert found.plans_preference == ["premium", "open"]
    assert found.tags == ["lab"]
    assert found.proxies.urls == FIELDS["proxies"]["urls"]
    assert found.private_endpoint is True
    assert AccountManager.get(filename=str(file)).token == KEY


def test_the_file_is_as_ibms_client_writes_it(file: Path, tmp_path: Path) -> None:
    """Keys, order and indentation are the same for the same account."""
    from qiskit_ibm_runtime.accounts import AccountManager

    save(file, instance=CRN, set_as_default=True)
    theirs = tmp_path / "theirs.json"
    AccountManager.save(
        token=KEY, instance=CRN, filename=str(theirs), name=None, set_as_default=True
    )
    assert file.read_text() == theirs.read_text()


def test_only_its_owner_can_read_the_file(file: Path) -> None:
    """A new file, and one that was open to all, are private afterwards, and nothing is beside."""
    save(file)
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    file.chmod(0o644)
    save(file, name="other")
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_a_link_stays_a_link(file: Path, tmp_path: Path) -> None:
    """What a link leads to is replaced, not the link."""
    save(file)
    link = tmp_path / "link.json"
    link.symlink_to(file)
    save(link, name="other")
    assert link.is_symlink()
    assert set(content(file)) == {"default-ibm-quantum-platform", "other"}


def test_what_was_saved_is_used(file: Path) -> None:
    """`connect` finds key, instance and wishes of a saved account."""
    save(file, **{**FIELDS, "instance": None})
    access = resolve_access(filename=file, environ={})
    assert access.token == Secret(KEY)
    assert access.crn is None
    assert access.wish.region == "eu-de"
    assert access.wish.plans == ("premium", "open")
    assert access.wish.tags == ("lab",)
    assert access.proxies.before("https://quantum.cloud.ibm.com") is not None


def test_saving_over_another(file: Path) -> None:
    """A name that is taken needs `overwrite`; the file is as it was after a refusal."""
    save(file, name="work")
    before = file.read_bytes()
    with pytest.raises(ConfigError, match="overwrite=True"):
        save(file, "another key", name="work")
    assert file.read_bytes() == before
    save(file, "another key", name="work", overwrite=True)
    assert content(file)["work"]["token"] == "another key"


def test_one_default(file: Path) -> None:
    """Another default needs `overwrite`, and is the only one afterwards."""
    save(file, name="a", set_as_default=True)
    with pytest.raises(ConfigError, match="the default account is 'a'"):
        save(file, name="b", set_as_default=True)
    save(file, name="b", set_as_default=True, overwrite=True)
    assert [name for name, one in content(file).items() if "is_default_account" in one] == ["b"]


def test_deleting(file: Path) -> None:
    """Deleting tells whether there was one, and leaves the others."""
    save(file, name="a")
    save(file)
    assert qawait.delete_account(filename=file)
    assert not qawait.delete_account(filename=file)
    assert set(content(file)) == {"a"}


def test_listing(file: Path) -> None:
    """Accounts are found by name, channel and being a default; their keys are not shown."""
    save(file, **FIELDS)
    save(file)
    save(file, channel="ibm_cloud")
    listed = qawait.saved_accounts(filename=file)
    assert set(listed) == {"work", "default-ibm-quantum-platform", "default-ibm-cloud"}
    assert set(qawait.saved_accounts(filename=file, default=False)) == {"work"}
    assert set(qawait.saved_accounts(filename=file, channel="ibm_cloud")) == {"default-ibm-cloud"}
    assert set(qawait.saved_accounts(filename=file, name="work")) == {"work"}
    assert listed["work"]["token"].reveal() == KEY
    assert "canary" not in repr(listed)


def test_listing_where_nothing_is_saved(file: Path) -> None:
    """Without a file there are no accounts, and none is made."""
    assert qawait.saved_accounts(filename=file) == {}
    assert not file.exists()


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"token": " "}, "no API key"),
        ({"channel": "ibm_quantum"}, "channel is one of"),
        ({"instance": "crn:v1:x"}, "not a complete CRN"),
        ({"verify": False}, "verify"),
        ({"url": "http://evil.example"}, "not encrypted"),
        ({"plans_preference": "open"}, "plans_preference"),
        ({"proxies": {"urls": {"https": "socks5://canary@x"}}}, "proxy"),
        ({"proxies": {"urls": {}, "username_ntlm": "canary"}}, "NTLM"),
    ],
)
def test_an_account_that_could_not_be_used_is_not_saved(
    file: Path, fields: dict[str, Any], said: str
) -> None:
    """It is refused with what is wrong, before anything is written."""
    with pytest.raises(ConfigError, match=said) as caught:
        save(file, **fields)
    assert KEY not in shown(caught.value).replace(repr(KEY), "")
    assert not file.exists()


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    """The refusal names the file, and no part of it stays behind."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"cannot be (read|written)"):
        save(tmp_path / "file" / "accounts.json")


def test_the_usual_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without `filename` it is the one in the home folder."""
    monkeypatch.setenv("HOME", str(tmp_path))
    qawait.save_account(KEY)
    assert (tmp_path / ".qiskit" / "qiskit-ibm.json").exists()
    assert set(qawait.saved_accounts()) == {"default-ibm-quantum-platform"}
