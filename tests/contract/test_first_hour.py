"""The README's path from an account of each kind: it ends with a cluster, or before a droplet with one sentence."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from generator.lab.unkindness import KIND, Unkindness
from generator.pki.store import KeyStore
from generator.plan import names
from generator.plan.project import Project
from generator.provider import scopes
from generator.provider.spaces import Spaces, Stored
from tests.contract.operating import gen, render_tutorial, versitygw
from tests.contract.test_replace import described
from tests.contract.world import Twist, World, debian, running

DENIED = b"<Error><Code>AccessDenied</Code><Message>AccessDenied</Message></Error>"
Rule = Callable[[str, str, Mapping[str, str]], "tuple[int, bytes] | None"]


def rule(methods: str, pattern: str, status: int, body: bytes = DENIED, *, signed: bool | None = None) -> Rule:
    """Answer requests of these methods whose path matches; `signed` says whether by a header, None either way."""

    def odd(method: str, path: str, headers: Mapping[str, str]) -> tuple[int, bytes] | None:
        by_header = "Authorization" in headers
        fits = method in methods.split() and re.search(pattern, path) and signed in (None, by_header)
        return (status, body) if fits else None

    return odd


@dataclass(frozen=True)
class Kind:
    """One kind of account: how it is unkind, how its store is, and what launch says; nothing where all goes well."""

    unkind: Unkindness = KIND
    odd: tuple[Rule, ...] = ()
    prepare: Callable[[World], None] = lambda _: None
    says: str = ""
    warns: str = ""


def other_vpc(world: World) -> None:
    world.api.account.vpcs["x"] = replace(
        next(iter(world.account.vpcs.values())), id="x", name="default-sfo2", region="sfo2", ip_range="10.77.0.0/18"
    )


KINDS = {
    "as it should be": Kind(),
    "no VPC in the region": Kind(replace(KIND, no_default_vpc=True)),
    "another VPC that overlaps": Kind(
        prepare=other_vpc,
        says=r"^error: vpc default-sfo2: its 10\.77\.0\.0/18 overlaps `network\.vpc` \(10\.77\.0\.0/20\)\n"
        r"  hint: write `vpc: 10\.77\.64\.0/20`, which is free, then `gen render` and commit$",
    ),
    "status warning": Kind(
        replace(KIND, account_status="warning"),
        warns=r"^warning: the account's status is `warning`: Please add a payment method",
    ),
    "locked": Kind(
        replace(KIND, account_status="locked"), says=r"^error: the account's status is `locked`: Your account"
    ),
    "limit 3": Kind(replace(KIND, droplet_limit=3)),
    "limit 2": Kind(
        replace(KIND, droplet_limit=2),
        says=r"^error: 3 droplets are to be made, the account has room for 2: .*\n  hint: .*--template single",
    ),
    "a Spaces key limited to the bucket, which isn't there": Kind(
        odd=(rule("PUT", r"^/orderbook-hardway/?$", 403),), says=r"`SPACES_ACCESS_KEY_ID` needs full access"
    ),
    "a Spaces key limited to the bucket, which can't set its policy": Kind(
        odd=(rule("PUT", r"\?policy$", 403),), says=r"`SPACES_ACCESS_KEY_ID` needs full access"
    ),
    "a bucket that is another account's": Kind(
        odd=(
            rule("HEAD", r"^/orderbook-hardway/?$", 404, b""),
            rule("PUT", r"^/orderbook-hardway/?$", 409, DENIED.replace(b"AccessDenied", b"BucketAlreadyExists")),
        ),
        says=r"^error: bucket orderbook-hardway: the name is taken by another account\n  hint: choose another name$",
    ),
    "a bucket that is another account's and says so": Kind(
        odd=(rule("HEAD", r"^/orderbook-hardway/?$", 403, b""),), says=r"the bucket's name has to be this account's$"
    ),
    "a policy that is not in force": Kind(
        odd=(rule("GET", r"/public/", 403, signed=False),), says=r"^error: bucket .*: anyone may read .*/public/canary"
    ),
    "a bucket that anybody may read": Kind(
        odd=(rule("GET", r"/orderbook/canary$", 200, b"all", signed=False),), says=r": nobody may read orderbook/canary"
    ),
    "a store that takes no signed PUT": Kind(
        odd=(rule("PUT", r"X-Amz-Signature", 403),), says=r": a signed PUT is answered 403: nodes could not report"
    ),
    "a store that gives nothing by a signed GET": Kind(
        odd=(rule("GET", r"X-Amz-Signature", 403),), says=r": a signed GET is answered 403: nodes could not fetch"
    ),
    "Debian has none of the packages": Kind(
        prepare=lambda world: setattr(world, "debian_is_gone", True),
        says=r"^error: package age: .* can't be had: deb\.debian\.org answers 404; snapshot\.debian\.org can't",
    ),
    "a token without `vpc:create`": Kind(
        replace(KIND, missing_scope="vpc:create"),
        says=r"missing the required permission vpc:create\..*\n.*actions \(read\)",
    ),
    "a token without `account:read`": Kind(
        replace(KIND, missing_scope="account:read"), says=r"missing the required permission account:read\."
    ),
    "a token without `droplet:create`": Kind(
        replace(KIND, missing_scope="droplet:create"), says=r"missing the required permission droplet:create\."
    ),
}


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("project")
    render_tutorial(directory)
    return directory


@contextmanager
def account(kind: Kind, rendered: Path, directory: Path) -> Iterator[tuple[World, Project]]:
    shutil.copytree(rendered, directory / "project")
    project = Project.load(directory / "project" / "cluster.yaml")
    with running(directory, versitygw(), kind.unkind) as world:
        world.inhabit(project.plan, KeyStore.open(project.keys_path, project.plan, project.inventory))
        world.twist.rules += kind.odd
        kind.prepare(world)
        yield world, project


@pytest.mark.parametrize("name", KINDS)
def test_an_account_of_each_kind(name: str, rendered: Path, tmp_path: Path) -> None:
    kind = KINDS[name]
    with account(kind, rendered, tmp_path) as (world, project):
        outcome = gen(world, project, "launch", "--yes")
        assert re.search(kind.warns, outcome.err, re.MULTILINE), outcome.err
        if not kind.says:
            assert outcome.code == 0, outcome.err
            assert len(world.up()) == 3
            return
        assert outcome.code == 1
        assert re.search(kind.says, outcome.err, re.MULTILINE), outcome.err
        assert world.account.droplets == {}
        assert "Traceback" not in outcome.err
        # What stood in the way goes, and the same launch goes on.
        world.twist.rules.clear()
        world.debian_is_gone = False
        world.account.vpcs.pop("x", None)
        world.account.unkind = KIND
        assert gen(world, project, "launch", "--yes").code == 0
        assert len(world.up()) == 3
        left = [one.key for one in _objects(world, project) if one.key.endswith("canary")]
        assert left == []


def _objects(world: World, project: Project) -> tuple[Stored, ...]:
    return Spaces(world.connection, bucket=project.plan.spaces_bucket, region="fra1").objects("")


def test_a_twist_is_one() -> None:
    assert Twist([rule("GET", "x", 403)]).answer("GET", "/x", {}) == (403, DENIED)
    assert Twist([rule("GET", "x", 403, signed=True)]).answer("GET", "/x", {}) is None


def test_a_bucket_goes_when_it_is_empty_and_asked_for(rendered: Path, tmp_path: Path) -> None:
    with account(Kind(), rendered, tmp_path) as (world, project):
        store = Spaces(world.connection, bucket=project.plan.spaces_bucket, region="fra1")
        assert gen(world, project, "launch", "--yes").code == 0
        said = gen(world, project, "destroy", "--yes", "orderbook").err
        assert "bucket orderbook-hardway stays; all buckets of an account cost $5 a month, `--delete-bucket`" in said
        store.put("others/thing", b"x")
        said = gen(world, project, "destroy", "--yes", "orderbook", "--delete-bucket").err
        assert "bucket orderbook-hardway stays, as it holds other objects" in said
        assert [one.key for one in store.objects("")] == ["others/thing"]
        store.delete("others/thing")
        said = gen(world, project, "destroy", "--yes", "orderbook", "--delete-bucket").err
        assert "bucket orderbook-hardway was empty and is deleted" in said
        assert not store.bucket_exists()


def test_packages_that_are_mirrored_are_not_asked_for_again(rendered: Path, tmp_path: Path) -> None:
    with account(Kind(), rendered, tmp_path) as (world, project):
        assert gen(world, project, "launch", "--yes").code == 0
        world.debian_is_gone = True
        world.destroy("node02")
        assert gen(world, project, "launch", "--yes").code == 0
        for package in project.plan.packages(project.plan.nodes[0]):
            store = Spaces(world.connection, bucket=project.plan.spaces_bucket, region="fra1")
            url = store.url(names.package_key(project.plan.public_prefix, package.sha256))
            answer = world.http.request("GET", url)
            assert (answer.status, answer.data) == (200, debian(package.name))


def test_the_table_of_scopes_has_what_every_request_of_a_clusters_life_needs(rendered: Path, tmp_path: Path) -> None:
    with account(Kind(), rendered, tmp_path) as (world, first):
        project = described(world, first, "size: 10}]}", "size: 10}], public: reserved}")
        assert gen(world, project, "launch", "--yes").code == 0
        assert gen(world, project, "status").code == 0
        assert gen(world, project, "destroy", "--yes", "orderbook", "--volumes", "orderbook").code == 0
        lines = (tmp_path / "api.jsonl").read_text().splitlines()
    asked = [(line["method"], line["path"].partition("?")[0]) for line in map(json.loads, lines)]
    needed = {scopes.needed(*one) for one in asked}
    known = {f"{name}:{verb}" for name, verbs in scopes.SCOPES.items() for verb in verbs}
    assert None not in needed
    assert needed <= known
    # The first two are needed by others of them; a firewall is mended where somebody has changed it, a volume grows, or
    # comes back to its node, as an address does.
    rare = {"firewall:update", "block_storage_action:create", "reserved_ip:update"}
    baking = {"droplet:update", "image:delete"}  # see test_bake.py
    assert known - needed == {"actions:read", "regions:read", *rare, *baking}
