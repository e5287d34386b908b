"""What `gen init` writes, with one node: Cilium connects its pods, and policies and plan keep them from the rest."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from tests import images
from tests.datapath import stage
from tests.datapath.ways import WAYS, Checked, Ways, speed
from tests.datapath.workload import CALLERS, NAMESPACE, reach
from tests.e2e.harness import Cluster, until

# As a policy of Cilium's own says it: what is denied outweighs whatever else allows it.
DENIAL = f"""\
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {{name: denied, namespace: {NAMESPACE}}}
spec:
  endpointSelector: {{matchLabels: {{app: two}}}}
  enableDefaultDeny: {{ingress: false, egress: false}}
  ingressDeny: [{{fromEndpoints: [{{matchLabels: {{app: one}}}}]}}]
"""
# It asks for more than some machines have, as charts of others do.
GREEDY = f"""\
apiVersion: v1
kind: Pod
metadata: {{name: greedy, namespace: {NAMESPACE}}}
spec:
  hostNetwork: true
  restartPolicy: Never
  containers:
  - name: greedy
    image: IMAGE
    command: [iperf3, --version]
    securityContext: {{capabilities: {{drop: [ALL], add: [NET_ADMIN, SYS_RESOURCE]}}}}
"""


@pytest.fixture(scope="module")
def ways(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ways]:
    directory = tmp_path_factory.mktemp("cilium")
    cluster = Cluster(directory)
    words = ("--template", "single", "--release", images.RELEASE, "--api", "28.51.100.7")
    cluster.gen("init", cluster.name, *words)
    file = directory / "cluster.yaml"
    assert "addons: [cilium," in file.read_text()
    file.write_text(file.read_text().replace("namespaces: []", f"namespaces: [{NAMESPACE}]"))
    cluster.gen("lab", "build", timeout=3600)
    probe = images.probe(images.Maker.default())
    images.bring(directory, (probe,))
    cluster.gen("render")
    with stage.up(cluster, stage.Chosen("cilium", "mesh", "one")) as took, stage.working(cluster, probe) as working:
        print(took.seen, stage.memory(cluster).seen)
        yield working


def test_the_order_book_is_served(ways: Ways) -> None:
    assert json.loads(ways.cluster.order("buy", 101, 7))["remaining"] == 7
    assert served(ways)


@pytest.mark.parametrize("way", [way for way in WAYS if way is not speed], ids=lambda way: way.__name__)
def test_packets_arrive(ways: Ways, way: Checked) -> None:
    row = way(ways)
    assert row.is_right, row.seen


def test_a_policy_of_its_own_kind_is_enforced(ways: Ways) -> None:
    kubectl = ways.workload.kubectl
    (one,), (two,) = ways.workload.of("one"), ways.workload.of("two")

    def passes() -> bool:
        ((answer,),) = ways.workload.ask_all({one: [reach("open", f"{two.address}:{CALLERS}", seconds=2)]}).values()
        return bool(answer.seen)

    assert passes()
    kubectl("apply", "-f", "-", stdin=DENIAL)
    until("it is denied", lambda: not passes(), 30)
    kubectl("delete", "ciliumnetworkpolicy", "denied", "-n", NAMESPACE)
    until("it is allowed again", passes, 30)


def test_nothing_is_left_of_what_cilium_stands_for(ways: Ways) -> None:
    on = ways.cluster.on
    assert (
        on("node01", "systemctl", "show", "--property=LoadState", "kube-proxy").stdout.strip() == "LoadState=not-found"
    )
    assert on("node01", "ls", "/etc/cni/net.d").stdout.split() == ["05-cilium.conflist"]
    (address,) = json.loads(on("node01", "ip", "-json", "-4", "address", "show", "cilium_host").stdout)[0]["addr_info"]
    assert address["local"] == str(ways.plan.node("node01").gateway)


def test_a_container_starts_that_asks_for_what_the_machine_lacks(ways: Ways) -> None:
    kubectl = ways.workload.kubectl
    image = kubectl("get", "pods", "-n", NAMESPACE, "-o", "jsonpath={.items[0].spec.containers[0].image}").stdout
    kubectl("apply", "-f", "-", stdin=GREEDY.replace("IMAGE", image))
    words = ("wait", "pod/greedy", "-n", NAMESPACE, "--for=jsonpath={.status.phase}=Succeeded", "--timeout=60s")
    kubectl(*words)


def test_a_node_that_was_off_serves_again(ways: Ways) -> None:
    ways.cluster.gen("lab", "power-cycle", "node01")
    until("the order book is served again", lambda: served(ways), 240)


def served(ways: Ways) -> bool:
    return re.search(r"^ *buy +101 +7 ", ways.cluster.book("/ob"), re.M) is not None
