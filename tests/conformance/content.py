"""Builds the suite and the images that its network specs run, which no cluster but a test's ever sees.

The images are stand-ins under upstream's names: agnhost is of the suite's own module, the tools around it are Debian's.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from generator.lab.content.golang import GoRecipe
from generator.lab.content.images import Settings
from generator.release.lock_file import Image, Release
from tests.images import Maker, Recipe

SOURCE = Path(__file__).parent / "source"
UPSTREAM = "registry.k8s.io/e2e-test-images"
# What the scripts of specs call: shells, dig, curl, nc, wget, getent, ss.
PACKAGES = (
    "bash",
    "bind9-dnsutils",
    "coreutils",
    "curl",
    "dash",
    "findutils",
    "grep",
    "hostname",
    "iproute2",
    "libc-bin",
    "netcat-openbsd",
    "sed",
    "wget",
)
# The second is what Debian's alternatives would make.
LINKS = {"agnhost-2": "agnhost", "usr/bin/nc": "nc.openbsd"}
FILES: Mapping[str, str] = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/bash\nuser-defined-in-image:x:1000:1000::/home:/bin/sh\n",
    "etc/group": "root:x:0:\nuser-defined-in-image:x:1000:\ngroup-defined-in-image:x:50000:user-defined-in-image\n",
}
# Name in a lock to repository and tag, as manifest.go of the suite has them, entrypoint and command.
STAND_INS: Mapping[str, tuple[str, list[str], list[str]]] = {
    "agnhost": ("agnhost:2.63.0", ["/agnhost"], ["pause"]),
    "glibc-dns-testing": ("glibc-dns-testing:2.0.0", ["/bin/bash"], []),
    # The specs of endpoints only want something that runs.
    "nginx": ("nginx:1.15-4", ["/agnhost", "netexec", "--http-port=80"], []),
}


def suite(version: str) -> GoRecipe:
    """The suite's two programs, and agnhost."""
    stamp = "k8s.io/component-base/version.gitVersion"
    return GoRecipe(
        "conformance",
        "k8s.io/kubernetes",
        version,
        {"ginkgo": "github.com/onsi/ginkgo/v2/ginkgo", "agnhost": "k8s.io/kubernetes/test/images/agnhost"},
        own=SOURCE,
        stamps={stamp: "{version}"},
        tests={"e2e.test": "k8s.io/kubernetes/test/e2e"},
    )


def programs(maker: Maker, release: Release) -> dict[str, Path]:
    """Build the suite for a release's Kubernetes, or find it built; program to file."""
    return {name: maker.cache.blob(sha) for name, sha in maker.programs(suite(release.kubernetes)).items()}


def images(maker: Maker, release: Release) -> tuple[Image, ...]:
    """Make the images that network specs run."""
    recipe = suite(release.kubernetes)
    agnhost = maker.programs(recipe)["agnhost"]
    # its TLS servers' certificate and key, published with it
    porter = maker.go.download(recipe.module, recipe.version, recipe.name) / "test/images/agnhost/porter"
    files = {**FILES} | {name: (porter / name).read_text() for name in ("localhost.crt", "localhost.key")}
    made = []
    for name, (reference, entrypoint, command) in STAND_INS.items():
        settings = Settings(entrypoint, "0:0", command=command, environment={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
        made.append(
            maker.image(Recipe(name, f"{UPSTREAM}/{reference}", PACKAGES, {"agnhost": agnhost}, settings, LINKS, files))
        )
    return tuple(made)
