"""Asks control-plane nodes through the API, the only door: a signed request is put there, answers come beside it."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from generator import waiting
from generator.clock import Clock, moment, stamp
from generator.cluster import node_report
from generator.cluster.kube_api import Kube, NotYet
from generator.pki import signature
from generator.plain_text import clean

NAMESPACE = "hardway"
"""Holds requests alone; only administrators and control-plane nodes may touch what is in it."""
PLACE = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
CONTEXT = "hardway-answer-v1"
PREFIX = "request-"
VERSION = 1
POLL_SECONDS = 0.25


@dataclass(frozen=True)
class Answer:
    """What one node answered: `result` is what it found, None with the reason in `message` where it failed."""

    node: str
    result: Any
    message: str = ""


class Channel:
    """Reaches the agents of one cluster's control-plane nodes through one API server.

    `report_keys` has the key of each node that may be believed.
    """

    def __init__(
        self, cluster_id: str, server: Kube, signer: Ed25519PrivateKey, report_keys: Mapping[str, bytes], clock: Clock
    ) -> None:
        self._cluster_id = cluster_id
        self._server = server
        self._signer = signer
        self._report_keys = report_keys
        self._clock = clock

    def ask(
        self, verb: str, nodes: Sequence[str], arguments: Mapping[str, Any], *, patience: timedelta
    ) -> Mapping[str, Answer]:
        """Have each of these nodes do something once, and give what they answered in time.

        A node that says nothing is left out. The request is withdrawn at the end.

        Raises:
            NotYet: the API server does not take the request.
        """
        self._sweep()
        name = f"{PREFIX}{secrets.token_hex(8)}"
        payload = {
            "version": VERSION,
            "cluster_id": self._cluster_id,
            "id": name,
            "verb": verb,
            "nodes": list(nodes),
            "arguments": dict(arguments),
            "until": stamp(self._clock.now() + patience),
        }
        text = signature.sign(signature.REQUEST, json.dumps(payload), self._signer).decode()
        metadata = {"name": name, "namespace": NAMESPACE}
        made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"request": text}}
        if not self._server.create(PLACE, made):
            hint = f"is the namespace `{NAMESPACE}` there? it comes with the first addons"
            raise NotYet("the API server does not take a request for the nodes", where=self._server.address, hint=hint)
        answers: dict[str, Answer] = {}

        def all_of_them() -> bool | None:
            answers.update(self._answers(name, nodes))
            return True if len(answers) == len(nodes) else None

        try:
            polls = int(patience.total_seconds() / POLL_SECONDS) * (POLL_SECONDS,)
            waiting.until(all_of_them, polls, self._clock.sleep)
        finally:
            self._server.delete(f"{PLACE}/{name}")
        return answers

    def _answers(self, name: str, nodes: Sequence[str]) -> Mapping[str, Answer]:
        """Read who has answered so far; what nobody vouches for is no answer."""
        data = self._server.data(f"{PLACE}/{name}") or {}
        found = {}
        for node in nodes:
            text = data.get(f"answer.{node}")
            said = text and node_report.unwrap(CONTEXT, text, node, self._cluster_id, self._report_keys.get(node))
            if said and said.is_vouched and said.values.get("request") == name:
                message = clean(str(said.values.get("message", "")))[: node_report.LINE_LENGTH]
                found[node] = Answer(node, said.values.get("result"), message)
        return found

    def _sweep(self) -> None:
        """Remove what an asker that was killed has left, once its time is over."""
        for name, data in self._server.all_data(PLACE).items():
            if name.startswith(PREFIX) and _ended(data.get("request", ""), self._clock):
                self._server.delete(f"{PLACE}/{name}")


def _ended(request: str, clock: Clock) -> bool:
    try:
        return clock.now() > moment(json.loads(json.loads(request)["payload"])["until"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return True
