"""Says how unkind the lab is: lags, failures and disorder that the real provider shows now and then."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace

from generator.errors import Problem, raise_all
from generator.provider.scopes import SCOPES

_WORDS: Mapping[str, Sequence[str]] = {
    "account_status": ("active", "warning", "locked"),
    "missing_scope": ("", *(f"{name}:{verb}" for name, verbs in SCOPES.items() for verb in verbs)),
}


@dataclass(frozen=True)
class Unkindness:
    """Each field is one behaviour that a client has to survive; zero or false is the kind answer.

    Seconds are the longest a lag may get; each case draws its own between a half and the whole.

    Source: reports collected from api-v2 issues, terraform-provider-digitalocean and doctl.
    """

    seed: int = 0
    """Where chance starts; the same seed and the same requests bring the same lags and addresses."""
    read_lag: float = 3.0
    """A droplet just made is not found when read by its number."""
    list_lag: float = 4.0
    """A droplet just made is missing in lists; one just destroyed is still there."""
    boot_lag: float = 2.0
    """A droplet stays `new`."""
    network_lag: float = 3.0
    """An `active` droplet has no addresses; then the private one, later the public one."""
    member_lag: float = 6.0
    """A VPC still counts droplets that are gone, and can't be deleted (409)."""
    key_lag: float = 2.0
    """A key just registered is an invalid identifier for creating droplets (422)."""
    firewall_lag: float = 2.0
    """A firewall is `waiting` while droplets get its rules."""
    failing_creates: int = 1
    """So many droplet creations answer 500 although the droplet was made."""
    shuffled_addresses: bool = True
    """VPC addresses come in no order."""
    recycled_addresses: bool = False
    """A droplet gets the VPC address that was given back longest ago, but for the one given back last."""
    volume_lag: float = 3.0
    """A volume's device comes and goes, and until then nothing else can be asked of it (422)."""
    volume_limit: int = 100
    """More volumes are refused (403)."""
    address_lag: float = 3.0
    """A reserved address that was given to a droplet leads nowhere yet, and can't be moved (422)."""
    address_limit: int = 3
    """More reserved addresses are refused (422)."""
    held_dpkg_lock: int = 150
    """Vendor data hold the package manager's lock for so many seconds of the first boot."""
    no_default_vpc: bool = False
    """The region has no default VPC yet, so the first one made there becomes it and can't be deleted."""
    account_status: str = "active"
    """The account is in this standing: `active`, `warning` or `locked`."""
    missing_scope: str = ""
    """The token lacks this scope, such as `vpc:create` (403)."""
    droplet_limit: int = 10
    """More droplets are refused (422)."""
    requests_per_minute: int = 250
    """More requests are refused (429 with `retry-after`)."""
    requests_per_hour: int = 5000
    """More requests are refused (429 without it)."""


KIND = Unkindness(
    read_lag=0,
    list_lag=0,
    boot_lag=0,
    network_lag=0,
    member_lag=0,
    key_lag=0,
    firewall_lag=0,
    volume_lag=0,
    address_lag=0,
    failing_creates=0,
    shuffled_addresses=False,
    held_dpkg_lock=0,
)


def adjust(base: Unkindness, settings: Iterable[str]) -> Unkindness:
    """Override fields by `name=value`, as the command line gives them.

    Raises:
        Problems: a name is not known or a value is not of its kind.
    """
    known: dict[str, type] = {field.name: type(getattr(Unkindness(), field.name)) for field in fields(Unkindness)}
    found: dict[str, float | int | bool | str] = {}
    problems = []
    for setting in settings:
        name, _, text = setting.partition("=")
        name = name.strip().replace("-", "_")
        kind = known.get(name)
        if kind is None:
            problems.append(Problem(f"`{name}` is not an unkindness", hint=f"known: {', '.join(sorted(known))}"))
            continue
        try:
            found[name] = _value(text.strip(), kind, _WORDS.get(name, ()))
        except ValueError:
            numbers = "yes or no" if kind is bool else "a number of 0 or more"
            allowed = f"one of {', '.join(filter(None, _WORDS[name]))}" if name in _WORDS else numbers
            problems.append(Problem(f"`{name}` is '{text}', not {allowed}"))
    raise_all(problems)
    return replace(base, **found)  # type: ignore[arg-type]


def _value(text: str, kind: type, words: Sequence[str]) -> float | int | bool | str:
    if kind is str:
        if text not in words:
            raise ValueError(text)
        return text
    if kind is bool:
        if text not in ("yes", "no"):
            raise ValueError(text)
        return text == "yes"
    number = int(text) if kind is int else float(text)
    if number < 0:
        raise ValueError(text)
    return number
