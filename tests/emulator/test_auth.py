from __future__ import annotations

import base64
import json
import time
from typing import TYPE_CHECKING

import pytest

from support.emulated import BASE, Api

if TYPE_CHECKING:
    from qawait.emulator import Emulator


def claims(token: str) -> dict[str, float]:
    """Return what a token says of itself."""
    part = token.split(".")[1]
    decoded: dict[str, float] = json.loads(base64.urlsafe_b64decode(part + "=="))
    return decoded


def test_token_is_a_decodable_jwt_with_times(api: Api) -> None:
    """The token can be decoded and names when it was issued and when it expires."""
    answer = api.login().json
    said = claims(answer["access_token"])
    assert said["exp"] - said["iat"] == answer["expires_in"] == 3600
    assert said["exp"] == answer["expiration"]
    assert answer["token_type"] == "Bearer"


def test_life_of_tokens_can_be_set(emu: Emulator, api: Api) -> None:
    """A changed token life counts for the next token."""
    emu.settings(token_life=20)
    assert api.login().json["expires_in"] == 20


def test_wrong_api_key_gets_iams_error(api: Api) -> None:
    """IAM answers an unknown key as documented."""
    reply = api.login("not-the-key")
    assert reply.status == 400
    assert reply.json["errorCode"] == "BXNIM0415E"
    assert reply.json["context"]["requestId"]


def test_other_grant_types_are_refused(api: Api) -> None:
    """IAM exchanges API keys and nothing else."""
    form = f"grant_type=password&apikey={api.emu.token.reveal()}"
    assert api.raw("POST", "/identity/token", form).status == 400


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer garbage", "Bearer a.b.c", "Bearer é", "Basic eA==", "apikey x"]
)
def test_bad_credentials_get_the_documented_401(api: Api, header: str) -> None:
    """A missing or strange token is answered 401 with code 1201 and a trace."""
    headers = {"Authorization": header, "Service-CRN": api.emu.instance}
    reply = api.raw("GET", f"{BASE}/jobs", headers=headers)
    assert (reply.status, reply.code) == (401, 1201)
    assert reply.json["errors"][0]["message"] == "Invalid credentials."
    assert reply.json["trace"]


def test_forged_token_is_refused(api: Api) -> None:
    """A token whose claims were changed is not accepted."""
    header, _, signature = api.login().json["access_token"].split(".")
    later = json.dumps({"iat": 0, "exp": time.time() + 9999}).encode()
    body = base64.urlsafe_b64encode(later).rstrip(b"=").decode()
    api.token = f"{header}.{body}.{signature}"
    assert api.ask("GET", "/jobs").status == 401


def test_token_expires(emu: Emulator, api: Api) -> None:
    """A token is good until its time is over, and not after."""
    emu.settings(token_life=0.2)
    assert api.ask("GET", "/jobs").status == 200
    expiry = claims(api.token)["exp"]
    while time.time() < expiry:
        time.sleep(0.01)
    assert api.ask("GET", "/jobs").status == 401


def test_tokens_can_be_revoked(emu: Emulator, api: Api) -> None:
    """Revoking makes old tokens invalid; a new login works."""
    assert api.ask("GET", "/jobs").status == 200
    emu.revoke_tokens()
    assert api.ask("GET", "/jobs").status == 401
    api.token = ""
    assert api.ask("GET", "/jobs").status == 200


def test_unknown_instance_is_refused(api: Api) -> None:
    """A request for another instance, or for none, gets a documented error."""
    assert api.ask("GET", "/jobs", headers={"Service-CRN": "crn:v1:other"}).status == 404
    bearer = {"Authorization": api.credentials()["Authorization"]}
    assert api.raw("GET", f"{BASE}/jobs", headers=bearer).status == 400


def test_search_and_catalog_describe_the_instance(api: Api) -> None:
    """Global search finds the one instance, and the catalog its plan."""
    query = {"query": "service_name:quantum-computing", "fields": ["crn"]}
    found = api.raw("POST", "/gs/v3/resources/search?limit=100", query, api.credentials()).json
    (item,) = found["items"]
    assert item["crn"] == api.emu.instance
    assert item["doc"]["extensions"]
    plan = item["service_plan_unique_id"]
    described = api.raw("GET", f"/catalog/api/v1/{plan}", headers=api.credentials()).json
    assert described["metadata"]["pricing"]["type"] == "free"


def test_search_needs_a_token(api: Api) -> None:
    """Global search tells strangers nothing."""
    assert api.raw("POST", "/gs/v3/resources/search", {}).status == 401


def test_unknown_api_version_is_refused(api: Api) -> None:
    """A version of the API that never was is answered 400; the pinned one works."""
    assert api.ask("GET", "/jobs", headers={"IBM-API-Version": "1999-01-01"}).status == 400
    assert api.ask("GET", "/jobs", headers={"IBM-API-Version": "2026-04-15"}).status == 200
