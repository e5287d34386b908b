"""Runs Kubernetes' own suite against a cluster of a lab of its own; exits 1 if a spec or the suite fails, else 0."""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from generator.lab.display import Display
from generator.lab.process import bound
from generator.release import lock_file
from tests import images
from tests.conformance import content, report, selection
from tests.datapath import stage
from tests.e2e.harness import Cluster
from tests.e2e.kubectl import Kubectl


def main() -> int:
    """Launch, run what is chosen, and sum up."""
    parser = argparse.ArgumentParser(prog="scripts/conformance", description=__doc__)
    parser.add_argument("--cni", choices=stage.CNIS, default="bridge")
    parser.add_argument("--datapath", choices=stage.DATAPATHS, default="mesh")
    parser.add_argument("--focus", default=selection.CONFORMANCE, help="which specs, as a regular expression")
    parser.add_argument("--policies", action="store_true", help="the specs of NetworkPolicy instead")
    parser.add_argument("--skip", action="append", default=[], help="which of them not")
    parser.add_argument("--nodes", type=int, default=3, metavar="N", help="how many specs at a time (3)")
    parser.add_argument("--minutes", type=int, default=45, help="when to give up (45)")
    parser.add_argument("--junit", type=Path, default=Path("conformance.xml"), help="where the result goes")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the lab is taken down
    out, err = Console(highlight=False, markup=False), Console(stderr=True, highlight=False, markup=False)
    release = lock_file.load("k8s-1.36", Path())
    with Display() as display:
        maker = images.Maker.default(display)
        programs, brought = content.programs(maker, release), content.images(maker, release)
    chosen = stage.Chosen(given.cni, given.datapath, "two")
    with TemporaryDirectory(prefix="hardway-conformance-") as name:
        directory = Path(name)
        err.print(f"launch {chosen.cni} × {chosen.datapath}, two nodes, in {directory}")
        with stage.launched(directory, chosen, brought) as (cluster, took):
            err.print(f"launched in {took.seen}")
            begun = time.monotonic()
            specs, code = run(cluster, programs, given, directory)
            seconds = time.monotonic() - begun
    if not specs:
        err.print("no spec has such a name, or the suite ended before it began")
        return 1
    given.junit.write_bytes(report.junit(specs, seconds))
    out.print(report.table(specs))
    out.print(f"{chosen.cni} × {chosen.datapath}: {report.summary(specs, seconds)}")
    if code:
        err.print(f"the suite ended with {code}")
    return 0 if report.is_passed(specs, code) else 1


def run(
    cluster: Cluster, programs: Mapping[str, Path], given: argparse.Namespace, directory: Path
) -> tuple[tuple[report.Spec, ...], int]:
    """Run the suite on this machine, which reaches the cluster as a person does; its own words go to stderr.

    Give what it reports, and how it ended.
    """
    kubectl = Kubectl(cluster)
    tools = directory / "tools"
    tools.mkdir()
    for name, program in {**programs, "kubectl": kubectl.program}.items():
        (tools / name).symlink_to(program)
    words = [f"--focus={selection.POLICIES if given.policies else given.focus}"]
    if skip := selection.skipped(given.skip):
        words.append(f"--skip={skip}")
    words += [f"--procs={given.nodes}", f"--timeout={given.minutes}m", "--no-color", "--silence-skips"]
    words += ["--json-report=report.json", f"--output-dir={directory}"]
    theirs = [f"--kubeconfig={kubectl.kubeconfig}", f"--kubectl-path={tools / 'kubectl'}", "--provider=skeleton"]
    theirs += ["--node-os-distro=debian", "--dns-domain=cluster.local", "--minStartupPods=0"]
    command = [str(tools / "ginkgo"), *words, str(tools / "e2e.test"), "--", *theirs]
    # whatever ends us ends its processes too
    code = subprocess.run(bound(command), cwd=directory, stdout=sys.stderr, check=False).returncode
    file = directory / "report.json"
    return (report.read(file) if file.exists() else ()), code


if __name__ == "__main__":
    sys.exit(main())
