"""Shows the emulated account itself: its limits, and how it stands with the provider."""

from __future__ import annotations

from typing import Any

from generator.lab.account.account import Account

_MESSAGES = {
    "active": "",
    "warning": "Please add a payment method to keep your account in good standing.",
    "locked": "Your account has been locked. Please open a support ticket.",
}


def shape(account: Account) -> dict[str, Any]:
    """Give the API's object."""
    return {
        "droplet_limit": account.unkind.droplet_limit,
        "floating_ip_limit": account.unkind.address_limit,
        "reserved_ip_limit": account.unkind.address_limit,
        "volume_limit": account.unkind.volume_limit,
        "email": "operator@example.com",
        "name": "The Lab",
        "uuid": "b6fr89dbf6d9156cace5f3c78dc9851d957381ef",
        "email_verified": True,
        "status": account.unkind.account_status,
        "status_message": _MESSAGES[account.unkind.account_status],
        "team": {"uuid": "5df3e3004a17e242b7c20ca6c9fc25b701a47ece", "name": "The Lab"},
    }
