"""Compares a bucket's lifecycle rules with the planned one, by which sealed bundles die with their addresses; pure.

A rule counts in whole days, so a launch removes left-over bundles sooner; the rule is for those that no launch follows.

Source: https://docs.digitalocean.com/products/spaces/how-to/configure-lifecycle-rules/
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any

from generator.cluster.matching import BUNDLE_KEPT
from generator.plan import names

Rule = Mapping[str, Any]


def planned(cluster: str) -> Rule:
    """Give the one rule that a cluster has."""
    return {
        "ID": f"hardway-{sha256(cluster.encode()).hexdigest()[:16]}",
        "Filter": {"Prefix": names.bundles_prefix(cluster)},
        "Status": "Enabled",
        "Expiration": {"Days": BUNDLE_KEPT.days},
    }


def own(rules: Sequence[Rule], cluster: str) -> tuple[Rule, ...]:
    """Give the rules for what lies below the cluster's prefix alone."""
    return tuple(rule for rule in rules if _prefix(rule).startswith(names.prefix(cluster)))


def foreign(rules: Sequence[Rule], cluster: str) -> tuple[Rule, ...]:
    """Give all other rules."""
    return tuple(rule for rule in rules if not _prefix(rule).startswith(names.prefix(cluster)))


def is_planned(rules: Sequence[Rule], cluster: str) -> bool:
    """Tell whether the cluster's own rules are the planned one, under whatever name."""
    wanted = planned(cluster)
    facts = [(_prefix(rule), {**rule, "ID": "", "Filter": "", "Prefix": ""}) for rule in own(rules, cluster)]
    return facts == [(_prefix(wanted), {**wanted, "ID": "", "Filter": "", "Prefix": ""})]


def destructive(rules: Sequence[Rule], cluster: str) -> Iterator[str]:
    """Name others' rules that delete the cluster's objects, its roster among them."""
    for rule in foreign(rules, cluster):
        reaches = names.prefix(cluster).startswith(_prefix(rule))
        if reaches and rule.get("Status") != "Disabled" and "Expiration" in rule:
            yield f"rule `{rule.get('ID', '')}` deletes objects below `{_prefix(rule)}`, this cluster's among them"


def words(rule: Rule) -> str:
    """Say what a rule is for."""
    return f"objects below {_prefix(rule)} expire"


def _prefix(rule: Rule) -> str:
    """Give the prefix of a rule; one without, or with one that can't be read, is for all objects."""
    chosen = rule.get("Filter") or {}
    found = chosen.get("Prefix") or (chosen.get("And") or {}).get("Prefix") or rule.get("Prefix") or ""
    return str(found)
