"""Says what the lab is, where it differs from the provider, and so what a first run in the cloud has to show."""

from __future__ import annotations

from generator.probe import beliefs

# What no probe can ask; docs/lab.md says more about each.
CHECKLIST = (
    ("Digests of images", "those of the lock were read in public repositories; `gen release pin` asks the registries"),
    ("The application's image", "it may be private or gone, and another has to be named; a stand-in may run here"),
    ("Upstream's own bytes", "where a lock made from source was used: same addresses and layouts, other digests"),
    ("Sysctls and kernel limits", "outside `net` they are files here"),
    ("Volumes", "whether the image's kernel has xfs, and grows an ext4 while it is mounted"),
    ("A baked image", "how long a snapshot takes, what it counts for, and how much later a droplet of it comes up"),
    ("Droplet sizes", "memory is limited as bought, the number of processors is this host's"),
    ("The bill", "prices here are those of one day"),
)


def about() -> str:
    """Say it, with what is believed of the provider and can't be seen here."""
    unseen = [belief for belief in beliefs.load() if belief.lab.limit]
    asked = "".join(f"  {belief.belief} Here: {belief.lab.limit}.\n" for belief in unseen)
    rest = "".join(f"  [ ] {title}: {sentence}\n" for title, sentence in CHECKLIST)
    return _ABOUT.format(count=len(beliefs.load()), asked=asked, rest=rest)


_ABOUT = """\
The lab is a DigitalOcean on this machine: its API over TLS, Spaces by a real S3 server, registries and download hosts
under their own names, and droplets that are real machines with Debian 13's systemd and cloud-init. The documents that
boot here are, byte for byte, those that boot in the cloud.

It is unkind on purpose (`gen lab up --kind` turns that off): a droplet is not found at first, is active before it has
addresses, gets its VPC address in no order; one creation answers 500 although it happened; a VPC counts members that
are gone; the provider's vendor-data rewrite /etc/hosts and hold dpkg's lock; firewalls deny by default, in the VPC too;
the VPC drops frames with foreign source addresses (`gen lab spoofing on` lets them pass).

What is believed of the provider are {count} sentences, each with its source (generator/probe/beliefs.yaml).
`gen probe` asks an account whether they are true, for about a cent; `gen probe --lab` asks the lab, which can't say of
these:
{asked}
What neither can prove, and a first run in the cloud has to show (docs/lab.md says more):
{rest}"""
