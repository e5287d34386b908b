"""Says what the lab is, where it differs from the provider, and so what a first run in the cloud has to show."""

from __future__ import annotations

# In the order of a first run; docs/lab.md says more about each.
CHECKLIST = (
    ("Digests of images", "those of the lock were read in public repositories; `gen release pin` asks the registries"),
    ("The application's image", "it may be private or gone, and another has to be named; a stand-in may run here"),
    ("Upstream's own bytes", "where a lock made from source was used: same addresses and layouts, other digests"),
    ("The droplet's real image", "what it holds, its boot loader, its agents, its time synchronisation"),
    ("python3-cryptography", "nodes unseal their secrets with it; here, as in Debian, it comes with cloud-init"),
    ("The kernel's WireGuard", "here wireguard-go may stand for the module"),
    ("Kernel modules", "machines share this host's kernel, nothing is loaded"),
    ("cgroup version 2", "where this host has version 1"),
    ("Sysctls and kernel limits", "outside `net` they are files here"),
    ("Foreign addresses on the VPC", "foreign source addresses may be dropped or not, by region"),
    ("Speed", "boot, downloads and disks are this host's"),
    ("Droplet sizes", "memory is limited as bought, the number of processors is this host's"),
    ("The API's real lags and limits", "and sizes that are sold out"),
    ("Lifecycle rules", "the S3 server here knows none"),
    ("Spaces' own ways", "beyond what the S3 server here knows"),
    ("The bill", "prices here are those of one day"),
)

ABOUT = """\
The lab is a DigitalOcean on this machine: its API over TLS, Spaces by a real S3 server, registries and download hosts
under their own names, and droplets that are real machines with Debian 13's systemd and cloud-init. The documents that
boot here are, byte for byte, those that boot in the cloud.

It is unkind on purpose (`gen lab up --kind` turns that off): a droplet is not found at first, is active before it has
addresses, gets its VPC address in no order; one creation answers 500 although it happened; a VPC counts members that
are gone; the provider's vendor-data rewrite /etc/hosts and hold dpkg's lock; firewalls deny by default, in the VPC too;
the VPC drops frames with foreign source addresses (`gen lab spoofing on` lets them pass).

What it can't prove, and a first run in the cloud has to show (docs/lab.md says more):
""" + "".join(f"  [ ] {title}: {sentence}\n" for title, sentence in CHECKLIST)
