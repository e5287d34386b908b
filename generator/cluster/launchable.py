"""Loads everything that a launch sends, and checks on this machine that it is what was reviewed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from hashlib import sha256

from generator.documents import addons, agent, committed, render
from generator.errors import Problem, Problems, raise_all
from generator.pki import bundle, state_key
from generator.pki.store import KeyStore
from generator.plan import baking, ending, images
from generator.plan.decide import Plan
from generator.plan.project import Project
from generator.provider.connection import Connection


@dataclass(frozen=True)
class Documents:
    """What was reviewed: the SHA-256 of each node's document, and of the archives of addons and agent.

    `commit` is the one that holds them, empty where none does; `secrets` is the digest of the sealed archive,
    `state_access` that of the user's own way to the bucket for snapshots, sealed; empty where none is named.
    """

    nodes: Mapping[str, str]
    addons: str
    agent: str = ""
    commit: str = ""
    secrets: str = ""
    state_access: str = ""


@dataclass(frozen=True)
class Launchable:
    """Everything a launch sends: reviewed documents, the archives of addons and agent, and the keys."""

    plan: Plan
    texts: Mapping[str, str]
    archive: bytes
    store: KeyStore
    agent: bytes = b""
    commit: str = ""
    secrets: bytes = b""
    state_access: bytes = b""
    state_key_id: str = ""

    @cached_property
    def documents(self) -> Documents:
        """Give the digests of what was reviewed."""
        nodes = {name: sha256(text.encode()).hexdigest() for name, text in self.texts.items()}
        agent_sha256 = sha256(self.agent).hexdigest() if self.agent else ""
        secrets = sha256(self.secrets).hexdigest() if self.secrets else ""
        access = sha256(self.state_access).hexdigest() if self.state_access else ""
        return Documents(nodes, sha256(self.archive).hexdigest(), agent_sha256, self.commit, secrets, access)


def digests(project: Project) -> Documents:
    """Give the digests of what would be rendered, without keys.

    Raises:
        Problems: see `render.documents`.
    """
    files = render.documents(project)
    return Documents(
        {node.name: render.document_sha256(files, node.name) for node in project.plan.nodes},
        addons.digest(addons.manifests(project.plan)),
        agent.digest(agent.files()),
        secrets=(project.inventory.secrets if project.inventory else None) or "",
    )


def prepare(
    project: Project, *, now: datetime, commit: str = "", spaces: str = Connection.spaces_endpoint
) -> Launchable:
    """Check what lies on this machine, and load it.

    Args:
        spaces: the address of Spaces, for nodes that write snapshots with a key of the user's own.

    Raises:
        Problems: what is committed is not what would be rendered, an image is not pinned, a key is missing.
    """
    problems: list[Problem] = []
    render.verify(project)
    files = render.documents(project)
    plan = project.plan
    if committed.difference(project, files):
        hint = "`gen render --check` shows the difference; `gen render` writes it, to be reviewed and committed"
        problems.append(Problem("is not what would be rendered", where=str(project.rendered_path), hint=hint))
    problems += images.unpinned(project.spec, project.release)
    problems += baking.faults(plan, project.release)
    soon = ending.ending(project.inventory, now, ending.SERVES)
    if soon is not None and not soon.over:
        problems.append(Problem(f"{soon}, before a launch is through", where=plan.name, hint=soon.hint(plan.name)))
    try:
        store = KeyStore.open(project.keys_path, plan, project.inventory, now=now)
    except Problems as error:
        problems += error.problems
    raise_all(problems)
    for node in plan.nodes:
        if sha256(bundle.node_bundle(plan, node, store)).hexdigest() != node.bundle_sha256:
            problems.append(
                Problem("its keys are not those its document pins", where=node.name, hint="run `gen render`")
            )
    manifests = addons.manifests(plan)
    secrets = store.sealed_addons(addons.namespaces(manifests))
    if project.inventory and sha256(secrets).hexdigest() != project.inventory.secrets:
        where = str(project.keys_path / "addons")
        problems.append(Problem("holds other secrets than were rendered", where=where, hint="run `gen render`"))
    raise_all(problems)
    texts = {node.name: files[f"nodes/{node.name}/user-data"].decode() for node in plan.nodes}
    runtime = agent.archive(agent.files())
    own = state_key.read(project.keys_path, plan)
    endpoint = spaces.format(region=plan.spaces_region).rstrip("/")
    access = store.sealed_access(state_key.text(plan, endpoint, own)) if own else b""
    key_id = own.id if own else ""
    return Launchable(plan, texts, addons.archive(manifests), store, runtime, commit, secrets, access, key_id)
