"""Makes `words.md`: the one list of the project's own words, each with the place in the code that it names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from generator import catalogue
from generator.cluster import channel, diff, launch_lock, launch_part, node_report
from generator.cluster.kinds import bundle, droplet, kind
from generator.description import schema
from generator.documents import agent, roster, user_data
from generator.lab.account import account
from generator.pki import store
from generator.plan import baking, decide, inventory, names, node
from generator.probe import beliefs
from generator.release import lock_file

HEAD = """\
# Words

The field's own words mean what they mean elsewhere. These are the project's.

| word | means | lives in |
|---|---|---|
"""
ROOT = Path(__file__).parent.parent.parent


@dataclass(frozen=True)
class Word:
    """One word, what it means here, and the module or type in which it lives."""

    word: str
    means: str
    place: ModuleType | type


WORDS: Sequence[Word] = (
    Word("account (emulated)", "the lab's own: what exists in it, and since when", account),
    Word("action", "one thing that a launch does, safe to repeat", kind.Action),
    Word("addon", "manifests that a cluster's own job applies, in the description's order", schema.ClusterSpec),
    Word("agent", "what a node runs to assemble itself: an archive that each document pins", agent),
    Word("baked image", "a snapshot of a droplet that has in place what a lock pins; nodes are made of it", baking),
    Word(
        "belief", "a sentence about the provider with its source, and the lab's file that embodies it", beliefs.Belief
    ),
    Word("bundle", "a node's secrets; sealed anew at each launch, its content pinned by the document", bundle),
    Word("catalogue", "what is known of the provider before it is asked", catalogue),
    Word("channel", "how the operator asks control-plane nodes through the API, and hears their answers", channel),
    Word("description", "`cluster.yaml`, what a person writes; read, it is the spec", schema),
    Word("difference", "what should be there and is not, or is other than planned; found without the network", diff),
    Word("document", "one node's cloud-config, `rendered/<cluster>/nodes/<node>/user-data`", user_data),
    Word("droplet", "the machine a node runs on for now", droplet),
    Word("founding", "what a cluster was founded with and never changes while it lives", roster.Founding),
    Word("inventory", "public facts of each key: subject, names, expiry, fingerprint", inventory),
    Word("kind", "a sort of thing that a cluster has in the account or in its bucket", kind.Kind),
    Word("launch lock", "an object in the bucket that keeps two launches of one cluster apart", launch_lock),
    Word(
        "launch part",
        "what is only known at launch and travels beside the document: expiring addresses, the unsealing key",
        launch_part,
    ),
    Word("lock", "the release's file of digests", lock_file),
    Word("node", "the Kubernetes node and its identity, which survives its droplets", node.Node),
    Word("number", "a node's, from which its addresses follow; nobody else ever gets it", node.Node),
    Word("owner", "whose a VPC is, and where that cluster's objects lie, as its description says", names.Owner),
    Word("phase", "one step of a node's boot, as `gen launch` and `gen status` show it", node_report.Phase),
    Word("plan", "every decision about a cluster, frozen", decide.Plan),
    Word("pool", "nodes that differ only in their number", schema.PoolSpec),
    Word("release", "one Kubernetes with all that belongs to it, by its lock", lock_file.Release),
    Word("report", "what a node says of itself, and vouches for with its own key", node_report),
    Word(
        "roster",
        "what changes while a cluster lives: who is where, whether etcd may still form, which addons are in force",
        roster,
    ),
    Word("spec", "the description, read and checked; nothing derived", schema.ClusterSpec),
    Word("store", "a cluster's directory of keys; nothing secret is elsewhere", store),
)


def page() -> str:
    """Give the page."""
    return HEAD + "".join(f"| {one.word} | {one.means} | {_link(one.place)} |\n" for one in WORDS)


def _link(place: ModuleType | type) -> str:
    module, name = (place.__module__, f" `{place.__qualname__}`") if isinstance(place, type) else (place.__name__, "")
    path = f"{module.replace('.', '/')}.py"
    assert (ROOT / path).exists(), path
    return f"[{path}](../../{path}){name}"
