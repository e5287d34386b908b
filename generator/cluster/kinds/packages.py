"""The mirror of the lock's Debian packages: what Debian's pool drops after a security update still boots."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

from generator.cluster.kinds.kind import Action, Case, Kind, Lookup, Work
from generator.cluster.observed import Found, Observed
from generator.errors import Problem
from generator.plan import names
from generator.plan.decide import Plan
from generator.provider.visitor import LIMIT_BYTES, Visitor
from generator.release.lock_file import Package

MIRRORED: Found[frozenset[str]] = Found("packages", frozenset())


def needed(plan: Plan) -> tuple[Package, ...]:
    """List the packages of all nodes, each once."""
    return tuple({package.sha256: package for node in plan.nodes for package in plan.packages(node)}.values())


class PackagesKind(Kind[frozenset[str]]):
    """One object for each package; what is found are the digests of those that lie there."""

    name = "package"
    found = MIRRORED

    def look(self, lookup: Lookup) -> frozenset[str]:
        """List the digests of those that are there."""
        start, end = names.package_key(lookup.plan.public_prefix, "\n").split("\n")
        keys = [one.key for one in lookup.objects or () if one.key.startswith(start) and one.key.endswith(end)]
        return frozenset(key.removeprefix(start).removesuffix(end) for key in keys)

    def differences(self, case: Case) -> Iterator[Action]:
        """Find those that are missing."""
        for package in needed(case.plan):
            if package.sha256 not in case.observed.of(MIRRORED):
                yield self.action("upload", package.name, f"{package.version}, for the day when Debian has another")

    def apply(self, action: Action, work: Work, observed: Observed) -> Observed:
        """Fetch one from where the lock says, and upload it.

        Raises:
            Problem: it can't be had, so that no node could come up.
        """
        package = next(one for one in needed(work.plan) if one.name == action.name)
        body = _fetch(package, Visitor(work.cloud.connection))
        key = names.package_key(work.plan.public_prefix, package.sha256)
        work.spaces.put(key, body, content_type="application/vnd.debian.binary-package")
        return observed.having(MIRRORED, observed.of(MIRRORED) | {package.sha256})


def _fetch(package: Package, visitor: Visitor) -> bytes:
    reasons = []
    for url in package.urls:
        try:
            visit = visitor.ask("GET", url, limit_bytes=package.size or LIMIT_BYTES)
        except Problem as problem:
            reasons.append(f"{problem.where} {problem.message}")
            continue
        if visit.status == 200 and sha256(visit.body).hexdigest() == package.sha256:
            return visit.body
        host = url.split("/")[2]
        reasons.append(f"{host} answers {visit.status}" if visit.status != 200 else f"{host} has another file")
    hint = "launch again when it answers; a newer lock names newer packages"
    raise Problem(f"{package.version} can't be had: {'; '.join(reasons)}", where=f"package {package.name}", hint=hint)


PACKAGES = PackagesKind()
