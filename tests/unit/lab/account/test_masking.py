"""The API's log shows the document by its digest, and neither tokens nor launch parts."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from pathlib import Path

from generator.lab.account import masking
from generator.lab.account.account import Account
from generator.lab.account.api import Api
from generator.lab.unkindness import KIND
from generator.lab.webserver import Call

DOCUMENT = "#cloud-config\nwrite_files: []\n"
LAUNCH = '#!/bin/sh\ncat > /run/hardway/launch.json <<EOF\n{"bundle_key":"c2VjcmV0LWtleQ=="}\nEOF\n'
TOKEN = "dop_v1_" + "5" * 64


def multipart(document: str = DOCUMENT, launch: str = LAUNCH) -> str:
    head = 'Content-Type: multipart/mixed; boundary="=b="\nMIME-Version: 1.0\n\n'
    parts = [("text/cloud-config", document), ("text/cloud-boothook", launch)]
    return head + "".join(f"--=b=\nContent-Type: {kind}\n\n{body}\n" for kind, body in parts) + "--=b=--\n"


def test_user_data_is_kept_by_the_digest_of_its_document() -> None:
    kept = masking.user_data(multipart())
    assert kept["document_sha256"] == hashlib.sha256(DOCUMENT.encode()).hexdigest()
    assert kept["launch"] == "***"
    assert kept["parts"] == 2


def test_no_part_of_a_launch_leaves_a_trace() -> None:
    one, other = masking.user_data(multipart()), masking.user_data(multipart(launch=LAUNCH.replace("c2Vj", "Y2Vj")))
    assert one == other, "not even a digest that depends on it"
    for text in ("#!/bin/sh\nsecret", multipart(), "Content-Type: multipart/mixed; boundary=x\n\n--y\n\nsecret"):
        assert "secret" not in json.dumps(masking.user_data(text))
    assert masking.user_data("#!/bin/sh\nsecret") == {"bytes": 16, "parts": 1}


def test_the_log_of_the_api_shows_no_secret(tmp_path: Path) -> None:
    log = tmp_path / "api.jsonl"
    api = Api(Account(KIND), TOKEN, log, lambda _: None)
    order = {"name": "n", "region": "fra1", "size": "s-2vcpu-4gb", "image": "debian-13-x64", "user_data": multipart()}
    call = Call("POST", "/v2/droplets", headers={"authorization": f"Bearer {TOKEN}"}, body=json.dumps(order).encode())
    assert api.respond(call).status == 202
    wrong = Call("GET", "/v2/account", {"token": TOKEN}, {"authorization": f"Bearer {TOKEN[:-1]}6", "x": TOKEN})
    assert api.respond(wrong).status == 401
    text = log.read_text()
    key = b"secret-key"
    for secret in (TOKEN, TOKEN[:-1], base64.b64encode(key).decode(), key.hex(), key.decode(), "launch.json"):
        assert secret not in text, secret
    first, second = map(json.loads, text.splitlines())
    assert first["body"]["user_data"]["document_sha256"] == hashlib.sha256(DOCUMENT.encode()).hexdigest()
    assert (first["status"], first["answer"]["droplet"]["name"]) == (202, "n")
    assert (second["status"], second["headers"]["authorization"]) == (401, "***")


def test_requests_are_limited_as_the_documentation_says(tmp_path: Path) -> None:
    from dataclasses import replace

    headers = {"authorization": f"Bearer {TOKEN}"}
    api = Api(Account(replace(KIND, requests_per_minute=2)), TOKEN, tmp_path / "log", lambda _: None)
    answers = [api.respond(Call("GET", "/v2/account", headers=headers)) for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert answers[1].headers["ratelimit-remaining"] == "4998"
    assert int(answers[1].headers["ratelimit-reset"]) > time.time()
    assert answers[2].headers["retry-after"] == "60"
    api = Api(Account(replace(KIND, requests_per_hour=1)), TOKEN, tmp_path / "log", lambda _: None)
    answers = [api.respond(Call("GET", "/v2/account", headers=headers)) for _ in range(2)]
    assert [answer.status for answer in answers] == [200, 429]
    assert "retry-after" not in answers[1].headers


def test_the_secret_of_a_key_for_spaces_is_never_kept() -> None:
    answer = {"key": {"name": "n", "access_key": "DO00ABCDEFGHIJKLMNOP", "secret_key": "very secret"}}
    assert masking.masked(answer) == {"key": {"name": "n", "access_key": masking.MASK, "secret_key": masking.MASK}}
