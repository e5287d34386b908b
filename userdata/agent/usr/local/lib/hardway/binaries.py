"""Brings the binaries and packages that the document pins; needs no network when all is there."""

from __future__ import annotations

import shutil
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hardway import fetch, here
from hardway.here import Failure, Terminal
from hardway.installed import PREFIX, Item, brought, is_installed, part, pinned

TOOLS = (
    "usr/bin/age",
    "usr/bin/wg",
    "usr/sbin/haproxy",
    "usr/sbin/mkfs.xfs",
    "usr/sbin/nft",
    "usr/sbin/xfs_growfs",
    "usr/sbin/xfs_repair",
)
AT_ONCE = 4


def step() -> None:
    """Fetch and install side by side what is missing."""
    missing = [item for item in pinned() if not is_installed(item)]
    here.at(f"{PREFIX}/installed").mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        failures = list(pool.map(bring, missing))
    came = [item for item, failure in zip(missing, failures, strict=True) if failure is None]
    if came:
        link()
    for item in came:
        brought(item)
    for failure in filter(None, failures):
        raise failure


def bring(item: Item) -> Failure | None:
    """Fetch an item and install it; return why that can't be done."""
    try:
        get(item)
        install(item)
    except Failure as failure:
        return failure
    except OSError as error:
        return Failure(f"{item['name']}: {error}")
    return None


def get(item: Item) -> None:
    """Try an item's addresses in order, unless it is here: from an earlier boot, or from the droplet's image.

    Raises:
        Failure: why none has served.
    """
    if fetch.is_whole(part(item), item["sha256"]):
        print(f"{item['name']}: was here, and is what is pinned", flush=True)
        return
    reasons: list[Failure] = []
    for url in (*item["urls"], *mirror(item)):
        try:
            if fetch.download(url, part(item), item["sha256"], item.get("size")):
                print(f"{item['name']}: fetched and checked", flush=True)
                return
            reasons.append(Failure(f"{url} has not the pinned digest"))
        except Failure as error:
            reasons.append(error)
    raise Failure(f"{item['name']}: {'; '.join(map(str, reasons))}")


def mirror(item: Item) -> list[str]:
    """Give the address at which launch keeps a package, for the day when Debian has another."""
    return [] if "install" in item else [f"{here.launch()['addons_url']}packages/{item['sha256']}.deb"]


def install(item: Item) -> None:
    """Put what was fetched and checked into its places; a package goes below a prefix of ours."""
    places, source = item.get("install"), part(item)
    if places is None:
        here.run("dpkg-deb", "-x", str(source), str(here.at(PREFIX)))
    elif "" in places:
        # No copy, for there are some hundred MB; what was fetched stays until it is known to be installed.
        fresh = source.with_name(f"{source.name}.whole")
        fresh.unlink(missing_ok=True)
        fresh.hardlink_to(source)
        place(fresh, places[""])
    else:
        unpack(item, places)


def unpack(item: Item, places: dict[str, str]) -> None:
    """Take files out of an archive, in its own order: it is compressed, and going back would begin anew each time."""
    source, missing = part(item), dict(places)
    with tarfile.open(source, "r|*") as archive:
        for member in archive:
            content = archive.extractfile(member) if member.name in missing else None
            if content is None:
                continue
            path = missing.pop(member.name)
            fresh = source.with_name(f"{source.name}.{Path(path).name}")
            with fresh.open("wb") as file:
                shutil.copyfileobj(content, file, fetch.PIECE_BYTES)
            place(fresh, path)
            if not missing:
                return
    raise Terminal(f"{item['name']}: its archive holds no file `{next(iter(missing))}`")


def place(fresh: Path, path: str) -> None:
    """Move an executable into its place, also while the old one runs."""
    target = here.at(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh.chmod(0o755)
    fresh.replace(target)


def link() -> None:
    """Let the packages' tools and libraries be found."""
    for tool in TOOLS:
        source, target = here.at(f"{PREFIX}/{tool}"), here.at(f"/usr/local/sbin/{Path(tool).name}")
        if source.exists() and not target.is_symlink():
            target.symlink_to(source)
    here.run("ldconfig")
