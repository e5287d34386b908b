"""The addons: applied in an order that works, by digest alone, and with no more rights than they need."""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import re
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from generator.cluster import channel
from generator.documents import addons
from generator.plan.decide import Plan
from generator.release import lock_file
from tests import keyring

PODS = {"StatefulSet", "Deployment", "DaemonSet"}
CHANNEL = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "patch", "watch"]}


@pytest.fixture(scope="module")
def plan() -> Plan:
    lock = lock_file.load("k8s-1.36", Path("/nonexistent"))
    images = tuple(replace(image, digest=f"sha256:{number:064x}") for number, image in enumerate(lock.images))
    planned = keyring.planned(control_planes=3, workers=1)
    return replace(planned, release=replace(lock, images=images), addons=("bridge", "coredns", "ingress", "order-book"))


@pytest.fixture(scope="module")
def files(plan: Plan) -> Mapping[str, bytes]:
    return addons.manifests(plan)


@pytest.fixture(scope="module")
def index(files: Mapping[str, bytes]) -> list[dict[str, Any]]:
    document = json.loads(files["index.json"])
    assert document["version"] == 1
    found: list[dict[str, Any]] = document["addons"]
    return found


def objects(files: Mapping[str, bytes]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, content in files.items():
        if path.endswith(".yaml"):
            yield from ((path, item) for item in yaml.safe_load_all(content))


def pod_specs(files: Mapping[str, bytes]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in objects(files):
        if item["kind"] in PODS:
            yield path, item["spec"]["template"]["spec"]


def containers(files: Mapping[str, bytes]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, spec in pod_specs(files):
        for container in (*spec.get("initContainers", ()), *spec["containers"]):
            yield f"{path}:{container['name']}", container


def test_base_is_first_and_the_rest_as_the_description_says(index: list[dict[str, Any]]) -> None:
    assert [addon["name"] for addon in index] == ["base", "bridge", "coredns", "ingress", "order-book"]


def test_an_addon_of_the_nodes_document_has_nothing_to_apply(index: list[dict[str, Any]]) -> None:
    bridge = next(addon for addon in index if addon["name"] == "bridge")
    nothing = {"manifests": [], "namespaces": [], "pauses": {}, "wait": [], "withdraw": []}
    assert bridge == {"name": "bridge", "after": [], **nothing}


def test_index_names_every_file_once(files: Mapping[str, bytes], index: list[dict[str, Any]]) -> None:
    named = [path for addon in index for path in addon["manifests"]]
    assert sorted([*named, "index.json"]) == sorted(files)


def test_a_file_holds_one_kind_and_is_named_for_it(files: Mapping[str, bytes]) -> None:
    for path, group in itertools.groupby(objects(files), key=lambda pair: pair[0]):
        kinds = {item["kind"] for _, item in group}
        assert len(kinds) == 1, path
        kebab = "".join(f"-{char.lower()}" if char.isupper() else char for char in kinds.pop()).lstrip("-")
        assert path.partition("/")[2].startswith(kebab), path


def test_no_object_is_applied_twice(files: Mapping[str, bytes]) -> None:
    names = [(item["kind"], item["metadata"].get("namespace"), item["metadata"]["name"]) for _, item in objects(files)]
    assert len(names) == len(set(names))


def test_what_is_referred_to_comes_first(files: Mapping[str, bytes], index: list[dict[str, Any]]) -> None:
    known = {("Namespace", name) for name in ("default", "kube-node-lease", "kube-public", "kube-system")}
    by_path: dict[str, list[dict[str, Any]]] = {}
    for path, item in objects(files):
        by_path.setdefault(path, []).append(item)
    for path in (path for addon in index for path in addon["manifests"]):
        for item in by_path[path]:
            namespace = item["metadata"].get("namespace")
            assert namespace is None or ("Namespace", namespace) in known, path
            if item["kind"] in PODS:
                account = item["spec"]["template"]["spec"]["serviceAccountName"]
                assert ("ServiceAccount", f"{namespace}/{account}") in known, path
            is_theirs = item["kind"].endswith("RoleBinding") and item["roleRef"]["name"].startswith(
                ("system:", "cluster-")
            )
            if item["kind"].endswith("RoleBinding") and not is_theirs:
                role = item["roleRef"]
                scoped = f"{namespace}/{role['name']}" if role["kind"] == "Role" else role["name"]
                assert (role["kind"], scoped) in known, path
            name = item["metadata"]["name"]
            known.add((item["kind"], f"{namespace}/{name}" if namespace else name))


def test_every_workload_is_awaited(files: Mapping[str, bytes], index: list[dict[str, Any]]) -> None:
    awaited = {(words[2], words[4]) for addon in index for words in addon["wait"]}
    workloads = {
        (f"{item['kind'].lower()}/{item['metadata']['name']}", item["metadata"]["namespace"])
        for _, item in objects(files)
        if item["kind"] in PODS
    }
    assert awaited == workloads
    for addon in index:
        assert all(words[:2] == ["rollout", "status"] for words in addon["wait"])


def test_the_same_plan_gives_the_same_bytes(plan: Plan, files: Mapping[str, bytes]) -> None:
    assert addons.manifests(plan) == files
    shuffled = dict(reversed(list(files.items())))
    assert addons.archive(shuffled) == addons.archive(files)


def test_archive_holds_the_files_and_nothing_of_this_machine(files: Mapping[str, bytes]) -> None:
    data = addons.archive(files)
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        members = tar.getmembers()
        assert {member.name: tar.extractfile(member).read() for member in members} == dict(files)  # type: ignore[union-attr]
    assert [member.name for member in members] == sorted(files)
    assert {(m.mtime, m.uid, m.gid, m.mode, m.uname, m.gname) for m in members} == {(0, 0, 0, 0o644, "root", "root")}
    assert addons.digest(files) == hashlib.sha256(data).hexdigest()


def test_every_byte_is_in_the_digest(files: Mapping[str, bytes]) -> None:
    for path, content in files.items():
        assert addons.digest({**files, path: content + b"\n"}) != addons.digest(files)


def test_every_image_is_the_locks(plan: Plan, files: Mapping[str, bytes]) -> None:
    pinned = {image.pinned for image in plan.release.images}
    used = {container["image"] for _, container in containers(files)}
    assert used <= pinned
    assert all("@sha256:" in image for image in used)
    assert all(container["imagePullPolicy"] == "IfNotPresent" for _, container in containers(files))


def test_no_manifest_holds_a_secret(files: Mapping[str, bytes], index: list[dict[str, Any]]) -> None:
    assert not [path for path, item in objects(files) if item["kind"] == "Secret"]
    made = {name for addon in index for name in addon["namespaces"]}
    assert made == {item["metadata"]["name"] for _, item in objects(files) if item["kind"] == "Namespace"}
    assert addons.namespaces(files) == {"ingress", "order-book", "order-book-web"}


def test_pods_are_replaced_when_a_secret_that_they_read_changes(files: Mapping[str, bytes]) -> None:
    found = set()
    for path, item in objects(files):
        if item["kind"] not in PODS:
            continue
        namespace, template = item["metadata"]["namespace"], item["spec"]["template"]
        spec = template["spec"]
        read = {volume["secret"]["secretName"] for volume in spec.get("volumes", ()) if "secret" in volume}
        for container in (*spec.get("initContainers", ()), *spec["containers"]):
            read |= {one["secretRef"]["name"] for one in container.get("envFrom", ()) if "secretRef" in one}
            sources = [one.get("valueFrom", {}) for one in container.get("env", ())]
            read |= {one["secretKeyRef"]["name"] for one in sources if "secretKeyRef" in one}
        marks = {f"hardway/secret-{name}": f"@secret/{namespace}/{name}@" for name in read}
        annotations = template["metadata"].get("annotations", {})
        assert {key: annotations[key] for key in annotations if key.startswith("hardway/secret-")} == marks, path
        found |= marks.keys()
    assert found == {"hardway/secret-postgres"}


def test_the_password_is_in_one_containers_environment_only(files: Mapping[str, bytes]) -> None:
    holders = [
        (where, entry["name"], entry["valueFrom"]["secretKeyRef"])
        for where, container in containers(files)
        for entry in container.get("env", ())
        if "valueFrom" in entry
    ]
    place = "order-book/deployment.yaml:limit-order-book"
    assert holders == [(place, "POSTGRES_PASSWORD", {"name": "postgres", "key": "password"})]


def test_default_holds_nothing_but_its_closed_account(files: Mapping[str, bytes]) -> None:
    for path, item in objects(files):
        if item["metadata"].get("namespace") == "default":
            assert (path, item["automountServiceAccountToken"]) == ("base/service-account-default.yaml", False)


@pytest.mark.parametrize("theirs", [(), ("shop", "payroll")])
def test_default_accounts_get_no_token(plan: Plan, theirs: tuple[str, ...]) -> None:
    files = addons.manifests(replace(plan, user_namespaces=theirs))
    closed = {
        item["metadata"]["namespace"]
        for _, item in objects(files)
        if item["kind"] == "ServiceAccount" and item["metadata"]["name"] == "default"
    }
    made = {item["metadata"]["name"] for _, item in objects(files) if item["kind"] == "Namespace"}
    assert {"hardway", "ingress", "order-book", *theirs} <= made
    assert closed == made | {"default", "kube-node-lease", "kube-public", "kube-system"}
    for _, item in objects(files):
        if item["kind"] == "ServiceAccount":
            assert item["automountServiceAccountToken"] is False


def test_roles_read_what_they_watch_and_no_more(files: Mapping[str, bytes]) -> None:
    for path, item in objects(files):
        if item["kind"] not in ("ClusterRole", "Role"):
            continue
        for rule in item["rules"]:
            if item["metadata"]["name"] == "channel":
                assert rule == CHANNEL
                continue
            assert set(rule["verbs"]) <= {"list", "watch"}, path
            closed = {"*", "nodes/proxy", "nodes/log", "serviceaccounts/token"}
            assert not closed & {*rule["apiGroups"], *rule["resources"]}, path
            is_scoped = item["kind"] == "Role" and item["metadata"].get("labels", {}).get(addons.SERVED_LABEL)
            assert "secrets" not in rule["resources"] or is_scoped, path


SERVINGS = [((), True), (("shop",), True), (("shop", "payroll"), True), ((), False), (("shop",), False)]


@pytest.mark.parametrize(("theirs", "has_book"), SERVINGS)
def test_the_ingress_reads_secrets_where_it_serves_and_nowhere_else(
    plan: Plan, theirs: tuple[str, ...], has_book: bool
) -> None:
    names = ("bridge", "coredns", "ingress", "order-book")[: 4 if has_book else 3]
    rendered = addons.manifests(replace(plan, addons=names, user_namespaces=theirs))
    served = {*theirs, *(("order-book-web",) if has_book else ())}
    scoped = [item for _, item in objects(rendered) if item["metadata"].get("labels", {}).get(addons.SERVED_LABEL)]
    assert sorted((item["kind"], item["metadata"]["namespace"]) for item in scoped) == sorted(
        (kind, namespace) for kind in ("Role", "RoleBinding") for namespace in served
    )
    assert all(item["metadata"]["labels"][addons.SERVED_LABEL] == item["metadata"]["namespace"] for item in scoped)
    arguments = yaml.safe_load(rendered["ingress/daemon-set.yaml"])["spec"]["template"]["spec"]["containers"][0]["args"]
    (selector,) = [argument.partition("=")[2] for argument in arguments if "watchnamespaceselector" in argument]
    key, _, listed = selector.partition(" in ")
    assert key.rstrip("=") == "kubernetes.io/metadata.name"
    assert set(filter(None, listed.strip("()").split(","))) == served
    made = {item["metadata"]["name"] for _, item in objects(rendered) if item["kind"] == "Namespace"}
    assert served <= made, "the provider finds them at its start, or never"


def test_no_secret_lies_beside_an_ingress(files: Mapping[str, bytes]) -> None:
    """Whoever has the ingress's token reads every Secret there."""
    beside = {item["metadata"]["namespace"] for _, item in objects(files) if item["kind"] == "Ingress"}
    holding = {found for content in files.values() for found in re.findall(r"@secret/([^/]+)/", content.decode())}
    assert (beside, holding) == ({"order-book-web"}, {"order-book"})


@pytest.mark.parametrize(
    ("theirs", "names", "selector"),
    [
        ((), ("ingress", "order-book"), "hardway/ingress,hardway/ingress notin (order-book-web)"),
        (("shop",), ("ingress",), "hardway/ingress,hardway/ingress notin (shop)"),
        ((), ("ingress",), "hardway/ingress"),
        ((), (), "hardway/ingress"),
    ],
)
def test_rights_that_the_description_no_longer_gives_are_withdrawn(
    plan: Plan, theirs: tuple[str, ...], names: tuple[str, ...], selector: str
) -> None:
    rendered = addons.manifests(replace(plan, addons=names, user_namespaces=theirs))
    (base, *others) = json.loads(rendered["index.json"])["addons"]
    assert base["withdraw"] == [["delete", "role,rolebinding", "--all-namespaces", f"--selector={selector}"]]
    assert not any(addon["withdraw"] for addon in others)


def test_only_control_plane_nodes_hear_the_channel(plan: Plan, files: Mapping[str, bytes]) -> None:
    (binding,) = (item for path, item in objects(files) if path == "base/role-binding.yaml")
    ((kind, group),) = ((subject["kind"], subject["name"]) for subject in binding["subjects"])
    assert kind == "Group"
    holders = {row.node for row in plan.certificates if row.organization == group}
    assert holders == {node.name for node in plan.control_planes}
    assert len(plan.workers) > 0
    assert binding["metadata"]["namespace"] == channel.NAMESPACE


def test_no_right_is_given_to_a_node_by_its_name(plan: Plan, files: Mapping[str, bytes]) -> None:
    """One that left the description is there until a rollout has taken it out, and needs its rights for that."""
    subjects = [one["name"] for _, item in objects(files) for one in item.get("subjects", ())]
    assert subjects
    assert [name for name in subjects for node in plan.nodes if node.name in name] == []


def test_bindings_lead_to_own_roles_but_for_the_kubelets_client_and_the_operator(files: Mapping[str, bytes]) -> None:
    own = {(item["kind"], item["metadata"]["name"]) for _, item in objects(files)}
    foreign = [
        (item["roleRef"]["name"], [subject["name"] for subject in item["subjects"]])
        for _, item in objects(files)
        if item["kind"].endswith("RoleBinding") and (item["roleRef"]["kind"], item["roleRef"]["name"]) not in own
    ]
    assert foreign == [
        ("cluster-admin", ["operator"]),
        ("system:kubelet-api-admin", ["kube-apiserver-kubelet-client"]),
    ]


def test_every_container_is_closed(files: Mapping[str, bytes]) -> None:
    for path, spec in pod_specs(files):
        assert spec["securityContext"]["runAsNonRoot"] is True, path
        assert spec["securityContext"]["runAsUser"] > 0, path
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, path
        assert spec["enableServiceLinks"] is False, path
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys(), path
        assert not [volume for volume in spec.get("volumes", ()) if "hostPath" in volume], path
    for where, container in containers(files):
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False, where
        assert context["readOnlyRootFilesystem"] is True, where
        assert context["capabilities"]["drop"] == ["ALL"], where
        assert set(context["capabilities"].get("add", ())) <= {"NET_BIND_SERVICE"}, where


def test_containers_say_what_they_need_and_are_not_throttled(files: Mapping[str, bytes]) -> None:
    for where, container in containers(files):
        assert set(container["resources"]["requests"]) == {"cpu", "memory"}, where
        assert set(container["resources"]["limits"]) == {"memory"}, where


def test_dns_is_where_kubelets_say_it_is(plan: Plan, files: Mapping[str, bytes]) -> None:
    service = yaml.safe_load(files["coredns/service.yaml"])
    assert service["spec"]["clusterIP"] == str(plan.dns_ip)
    deployment = yaml.safe_load(files["coredns/deployment.yaml"])
    names = {port["name"] for port in deployment["spec"]["template"]["spec"]["containers"][0]["ports"]}
    assert {port["targetPort"] for port in service["spec"]["ports"]} == names
    assert f"kubernetes {plan.cluster_domain} " in yaml.safe_load(files["coredns/config-map.yaml"])["data"]["Corefile"]


@pytest.mark.parametrize(("schedulable", "replicas"), [(1, 1), (2, 2), (4, 2)])
def test_dns_is_spread_as_far_as_there_are_nodes(plan: Plan, schedulable: int, replicas: int) -> None:
    nodes = tuple(replace(node, schedulable=place < schedulable) for place, node in enumerate(plan.nodes))
    spec = yaml.safe_load(addons.manifests(replace(plan, nodes=nodes))["coredns/deployment.yaml"])["spec"]
    assert spec["replicas"] == replicas
    assert spec["template"]["spec"]["topologySpreadConstraints"][0]["minDomains"] == replicas


def test_a_changed_configuration_replaces_its_pods(plan: Plan, files: Mapping[str, bytes]) -> None:
    other = addons.manifests(replace(plan, cluster_domain="example.internal"))

    def annotation(rendered: Mapping[str, bytes]) -> str:
        value = yaml.safe_load(rendered["coredns/deployment.yaml"])["spec"]["template"]["metadata"]["annotations"]
        return str(value["hardway/config"])

    assert annotation(other) != annotation(files)
    assert annotation(files) == hashlib.sha256(files["coredns/config-map.yaml"]).hexdigest()[:16]


def test_only_the_applications_own_paths_are_routed(plan: Plan, files: Mapping[str, bytes]) -> None:
    ingress = yaml.safe_load(files["order-book/ingress.yaml"])
    assert (ingress["metadata"]["name"], ingress["spec"]["ingressClassName"]) == ("limit-order-book-ingress", "nginx")
    (rule,) = ingress["spec"]["rules"]
    assert rule["host"] == plan.order_book_host
    assert {path["pathType"] for path in rule["http"]["paths"]} == {"Exact"}
    routed = {path["path"] for path in rule["http"]["paths"]}
    assert routed == {"/", "/ob", "/api/order", "/api/health", "/headers"}
    assert "/api/wipe" not in routed
    assert "defaultBackend" not in ingress["spec"]


def test_the_ingress_class_is_the_one_its_controller_serves(files: Mapping[str, bytes]) -> None:
    controller = yaml.safe_load(files["ingress/ingress-class.yaml"])["spec"]["controller"]
    spec = yaml.safe_load(files["ingress/daemon-set.yaml"])["spec"]["template"]["spec"]
    assert f"--providers.kubernetesingressnginx.controllerclass={controller}" in spec["containers"][0]["args"]
    ports = {port["hostPort"]: port["containerPort"] for port in spec["containers"][0]["ports"]}
    assert set(ports) == {80, 443}
    assert min(ports.values()) > 1023
    assert "tolerations" not in spec


def test_every_node_that_takes_pods_has_a_volume_for_the_database(plan: Plan) -> None:
    nodes = tuple(replace(node, schedulable=node.name != "node02") for node in plan.nodes)
    files = addons.manifests(replace(plan, nodes=nodes))
    volumes = [item for path, item in objects(files) if path == "order-book/persistent-volume.yaml"]
    placed = [
        item["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"][0]["matchExpressions"][0]["values"]
        for item in volumes
    ]
    assert placed == [[node.name] for node in nodes if node.schedulable]
    claim = yaml.safe_load(files["order-book/stateful-set.yaml"])["spec"]["volumeClaimTemplates"][0]["spec"]
    for item in volumes:
        assert item["spec"]["storageClassName"] == claim["storageClassName"]
        assert claim["selector"]["matchLabels"].items() <= item["metadata"]["labels"].items()
        assert item["spec"]["capacity"] == claim["resources"]["requests"]


def test_there_is_one_roster(files: Mapping[str, bytes]) -> None:
    deployment = yaml.safe_load(files["order-book/deployment.yaml"])["spec"]
    assert (deployment["replicas"], deployment["strategy"]) == (1, {"type": "Recreate"})
    assert yaml.safe_load(files["order-book/stateful-set.yaml"])["spec"]["replicas"] == 1


def test_the_companion_can_end_the_application_and_starts_first(files: Mapping[str, bytes]) -> None:
    spec = yaml.safe_load(files["order-book/deployment.yaml"])["spec"]["template"]["spec"]
    (companion,) = spec["initContainers"]
    assert spec["shareProcessNamespace"] is True
    assert companion["restartPolicy"] == "Always"
    assert "startupProbe" in companion
    users = [container["securityContext"].get("runAsUser") for container in (companion, *spec["containers"])]
    assert users == [None, None], "both run as the pod's user, or a signal would be refused"


def test_what_the_job_pauses_for_comes_last_but_for_what_is_after_it(plan: Plan) -> None:
    every = ("bridge", "coredns", "ingress", "metrics-server", "order-book")
    index = json.loads(addons.manifests(replace(plan, addons=every))[addons.INDEX])["addons"]
    assert [entry["name"] for entry in index] == [
        "base",
        "bridge",
        "coredns",
        "ingress",
        "order-book",
        "metrics-server",
    ]
    assert [entry["name"] for entry in index if entry["pauses"]] == ["metrics-server"]
    entries = [
        {"name": name, "pauses": {"x": []}, "after": after} for name, after in (("a", []), ("b", ["a"]), ("c", []))
    ]
    assert [entry["name"] for entry in addons._ordered([*entries, {"name": "d", "pauses": {}, "after": []}])] == [
        "a",
        "d",
        "b",
        "c",
    ]
