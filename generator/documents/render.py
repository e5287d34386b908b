"""Renders everything below `rendered/<cluster>/`."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from generator.documents import addons, agent, roster, summary, user_data
from generator.errors import Problem, raise_all
from generator.pki import bundle, vouching
from generator.pki import store as key_store
from generator.pki.store import KeyStore
from generator.plan import decide, inventory
from generator.plan.certificates import INGRESS_AUTHORITY
from generator.plan.decide import Plan
from generator.plan.inventory import Inventory
from generator.plan.project import INVENTORY, Project

AUTHORITY = "ingress-ca.crt"
"""Which of the documents is the certificate of the authority that visitors of the order book have to believe."""


def refresh(project: Project, *, now: datetime) -> Project:
    """Make the keys that are missing, and give the project with the inventory as it is then.

    Raises:
        Problems: a key is lost or is not what the plan says; then nothing was made.
    """
    known = project.inventory
    identity = known or Inventory(key_store.cluster_id(project.keys_path), project.spec.name)
    planned = decide.plan(project.spec, project.release, identity, project.own)
    raise_all(unsigned(project))
    store = key_store.ensure(project.keys_path, planned, known, now=now)
    numbers = {**identity.numbers, **{node.name: node.number for node in planned.nodes}}
    facts = replace(identity, numbers=numbers, keys=key_store.facts(store, planned), bundles={})
    with_keys = decide.plan(project.spec, project.release, facts, project.own)
    sealed = store.sealed_addons(addons.namespaces(addons.manifests(with_keys)))
    digest = hashlib.sha256(sealed).hexdigest()
    whole = replace(facts, bundles=_bundles(with_keys, store), secrets=digest)
    return replace(project, inventory=vouching.signed(whole, store.operator_key))


def rehearse(project: Project) -> None:
    """Make every document without keeping it, with or without an inventory.

    Raises:
        Problems: a committed certificate contradicts the description, or a document can't be made.
    """
    if project.inventory is not None:
        raise_all(_contradicting(project.plan, project.inventory, project.rendered_path / INVENTORY))
        verify(project)
    addons.manifests(project.plan)
    _texts(project.plan)


def verify(project: Project) -> None:
    """Hold the committed inventory against itself: certificates, and the operator's signature.

    Raises:
        Problems: every row that nobody vouches for.
    """
    if project.inventory is not None:
        raise_all(vouching.problems(project.plan, project.inventory, project.rendered_path / INVENTORY))


def documents(project: Project) -> dict[str, bytes]:
    """Render from the description and the inventory alone: no keys, no clock, no network.

    Returns:
        Content by path below `rendered/<cluster>/`.

    Raises:
        Problems: the inventory lacks a key that the plan needs, or a document can't be made.
    """
    known = project.inventory
    if known is None:
        raise Problem("nothing was rendered yet", where=str(project.rendered_path), hint="run `gen render`")
    planned = project.plan
    file = project.rendered_path / INVENTORY
    raise_all([*_lacking(planned, known, file), *_contradicting(planned, known, file)])
    manifests = addons.manifests(planned)
    digest = addons.digest(manifests)
    runtime = agent.files()
    archives = summary.Archives(_names(manifests), digest, agent.digest(runtime))
    texts = _texts(planned)
    kept = _of_plan(planned, known)
    files = {
        INVENTORY: inventory.dump(kept),
        "summary.md": summary.summary(planned, kept, texts, archives),
        "roster.json": roster.reviewed(planned, digest, known.secrets),
        **{f"nodes/{name}/user-data": text for name, text in texts.items()},
        **({AUTHORITY: authority} if (authority := planned.authorities.get(INGRESS_AUTHORITY)) else {}),
    }
    return {
        **{path: text.encode() for path, text in files.items()},
        **{f"addons/{path}": content for path, content in manifests.items()},
        **{f"agent/{path}": content for path, content in runtime.items()},
    }


def document_sha256(files: Mapping[str, bytes], node: str) -> str:
    """Give the SHA-256 of a node's document in hex, as it is rendered or as it is committed."""
    return hashlib.sha256(files[f"nodes/{node}/user-data"]).hexdigest()


def _bundles(planned: Plan, store: KeyStore) -> dict[str, str]:
    return {node.name: hashlib.sha256(bundle.node_bundle(planned, node, store)).hexdigest() for node in planned.nodes}


def _texts(planned: Plan) -> dict[str, str]:
    texts, problems = {}, []
    for node in planned.nodes:
        try:
            texts[node.name] = user_data.document(planned, node)
        except Problem as problem:
            problems.append(problem)
    raise_all(problems)
    return texts


def _names(manifests: Mapping[str, bytes]) -> list[str]:
    """Name the addons in the order of their manifests."""
    return list(dict.fromkeys(path.partition("/")[0] for path in manifests if "/" in path))


def _of_plan(planned: Plan, known: Inventory) -> Inventory:
    """Leave out the keys of nodes that are gone; their numbers stay taken."""
    names = {node.name for node in planned.nodes}
    rows = tuple(fact for fact in known.keys if _node(fact.path) in names | {None})
    bundles = {name: digest for name, digest in known.bundles.items() if name in names}
    return replace(known, keys=rows, bundles=bundles)


def _node(path: str) -> str | None:
    parts = path.split("/")
    return parts[1] if parts[0] == "nodes" else None


def unsigned(project: Project) -> Iterator[Problem]:
    """Find out, before a key is made for what it says, whether somebody else has changed the inventory."""
    try:
        key = key_store.operator_key(project.keys_path)
    except Problem:
        return  # it is told with everything else that is wrong with the store
    public = base64.b64encode(key.public_key().public_bytes_raw()).decode()
    if project.inventory is not None and not vouching.is_signed(project.inventory, public):
        yield vouching.unsigned(project.rendered_path / INVENTORY)


def _lacking(planned: Plan, known: Inventory, file: Path) -> Iterator[Problem]:
    """Find what the inventory does not know of this plan."""
    new = [node.name for node in planned.nodes if not (node.bundle_sha256 and node.wireguard_public_key)]
    hint = "run `gen render` where the keys are"
    if known.secrets is None:
        yield Problem("knows no secrets of addons", where=str(file), hint=hint)
    for name in new:
        yield Problem(f"knows no keys of `{name}`", where=str(file), hint=hint)
    for row in planned.certificates:
        if row.node not in new and known.key(row.path) is None:
            yield Problem(f"knows no certificate `{row.path}`", where=str(file), hint=hint)


def _contradicting(planned: Plan, known: Inventory, file: Path) -> Iterator[Problem]:
    """Find certificates that are not what the plan says."""
    for row in planned.certificates:
        fact = known.key(row.path)
        if fact is not None and (fact.subject, sorted(fact.sans)) != (row.subject, sorted(row.sans)):
            message = f"certificate `{row.path}` is for {', '.join((fact.subject, *fact.sans))}"
            hint = f"the description makes it {', '.join((row.subject, *row.sans))}; a certificate never changes"
            if row.is_rotated:
                hint = f"`gen rotate {row.path}` has made another, for {', '.join(row.sans)}"
            yield Problem(message, where=str(file), hint=hint)
