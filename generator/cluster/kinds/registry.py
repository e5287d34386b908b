"""Lists every kind in the order of work: what comes later needs what comes before; removal goes the other way."""

from __future__ import annotations

from typing import Any

from generator.cluster.kinds.address import ADDRESS
from generator.cluster.kinds.archive import ADDONS, AGENT
from generator.cluster.kinds.bucket import BUCKET
from generator.cluster.kinds.bundle import BUNDLE
from generator.cluster.kinds.canary import CANARY
from generator.cluster.kinds.droplet import DROPLET
from generator.cluster.kinds.expiry import EXPIRY
from generator.cluster.kinds.firewall import FIREWALL
from generator.cluster.kinds.image import IMAGE
from generator.cluster.kinds.kind import Kind
from generator.cluster.kinds.packages import PACKAGES
from generator.cluster.kinds.policy import POLICY
from generator.cluster.kinds.roster import ROSTER
from generator.cluster.kinds.secrets import SECRETS
from generator.cluster.kinds.ssh_key import SSH_KEY
from generator.cluster.kinds.state_access import ACCESS
from generator.cluster.kinds.state_bucket import STATE
from generator.cluster.kinds.tag import TAG
from generator.cluster.kinds.volume import VOLUME
from generator.cluster.kinds.vpc import VPC

KINDS: tuple[Kind[Any], ...] = (
    IMAGE,
    SSH_KEY,
    TAG,
    VPC,
    FIREWALL,
    VOLUME,
    BUCKET,
    POLICY,
    EXPIRY,
    ADDONS,
    AGENT,
    SECRETS,
    PACKAGES,
    CANARY,
    STATE,
    ACCESS,
    ROSTER,
    DROPLET,
    ADDRESS,
    BUNDLE,
)
REMOVAL_ORDER: tuple[Kind[Any], ...] = (
    *(kind for kind in reversed(KINDS) if not kind.goes_last),
    *(kind for kind in reversed(KINDS) if kind.goes_last),
)
