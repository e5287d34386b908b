"""Maps the API's methods and paths to what the emulated account does; knows nothing of HTTP's wire."""

from __future__ import annotations

import re
from collections.abc import Callable

from generator.lab.account import (
    droplets,
    firewalls,
    images,
    offers,
    reserved_ips,
    snapshots,
    spaces_keys,
    ssh_keys,
    standing,
    tags,
    volumes,
    vpcs,
)
from generator.lab.account.account import Account, not_found, unprocessable
from generator.lab.account.requests import API_HOST, Answer, Request, check_kinds, page

Handler = Callable[[Account, Request, float, str], Answer]


def answer(account: Account, request: Request, now: float) -> Answer:
    """Carry out a request.

    Raises:
        Refusal: the API's answer is an error.
    """
    check_kinds(request.body)
    for method, pattern, handler in _ROUTES:
        found = pattern.fullmatch(request.path)
        if found and method == request.method:
            return handler(account, request, now, found["key"] if "key" in pattern.groupindex else "")
    raise not_found()


def _account(account: Account, _request: Request, _now: float, _key: str) -> Answer:
    return Answer(200, {"account": standing.shape(account)})


def _regions(_account: Account, request: Request, _now: float, _key: str) -> Answer:
    return page(request, "regions", [offers.region_shape(slug) for slug in offers.REGIONS])


def _sizes(_account: Account, request: Request, _now: float, _key: str) -> Answer:
    return page(request, "sizes", [offers.size_shape(size) for size in offers.SIZES.values()])


def _images(account: Account, request: Request, now: float, _key: str) -> Answer:
    return page(request, "images", images.shown(account, request.query, now))


def _image(account: Account, _request: Request, now: float, key: str) -> Answer:
    return Answer(200, {"image": images.shape(account, key, now)})


def _delete_image(account: Account, _request: Request, now: float, key: str) -> Answer:
    snapshots.delete(account, key, now)
    return Answer(204)


def _create_droplet(account: Account, request: Request, now: float, _key: str) -> Answer:
    made = droplets.create(account, request.body, now)
    links = [
        {"id": droplet.action, "rel": "create", "href": f"https://{API_HOST}/v2/actions/{droplet.action}"}
        for droplet in made
    ]
    shapes = [droplets.shape(account, droplet, now) for droplet in made]
    value = {"droplets": shapes} if "names" in request.body else {"droplet": shapes[0]}
    return Answer(202, {**value, "links": {"actions": links}})


def _list_droplets(account: Account, request: Request, now: float, _key: str) -> Answer:
    found = droplets.listed(account, request.query, now)
    return page(request, "droplets", [droplets.shape(account, droplet, now) for droplet in found])


def _get_droplet(account: Account, _request: Request, now: float, key: str) -> Answer:
    return Answer(200, {"droplet": droplets.shape(account, droplets.find(account, key, now), now)})


def _delete_droplet(account: Account, _request: Request, now: float, key: str) -> Answer:
    droplets.destroy(account, key, now)
    return Answer(204)


def _delete_droplets(account: Account, request: Request, now: float, _key: str) -> Answer:
    if not request.query.get("tag_name"):
        raise unprocessable("tag_name is required")
    droplets.destroy_tagged(account, request.query["tag_name"], now)
    return Answer(204)


def _act(account: Account, request: Request, now: float, key: str) -> Answer:
    action = droplets.act(account, key, request.body, now)
    return Answer(201, {"action": droplets.action_shape(account, action, now)})


def _list_events(account: Account, request: Request, now: float, key: str) -> Answer:
    found = droplets.actions(account, key, now)
    return page(request, "actions", [droplets.action_shape(account, action, now) for action in found])


def _get_action(account: Account, _request: Request, now: float, key: str) -> Answer:
    return Answer(200, {"action": droplets.action_shape(account, droplets.find_action(account, key), now)})


def _list_actions(account: Account, request: Request, now: float, _key: str) -> Answer:
    found = sorted(account.actions.values(), key=lambda action: -action.id)
    return page(request, "actions", [droplets.action_shape(account, action, now) for action in found])


def _create_vpc(account: Account, request: Request, now: float, _key: str) -> Answer:
    return Answer(201, {"vpc": vpcs.shape(vpcs.create(account, request.body, now))})


def _list_vpcs(account: Account, request: Request, _now: float, _key: str) -> Answer:
    return page(request, "vpcs", [vpcs.shape(vpc) for vpc in account.vpcs.values()])


def _get_vpc(account: Account, _request: Request, _now: float, key: str) -> Answer:
    return Answer(200, {"vpc": vpcs.shape(vpcs.find(account, key))})


def _update_vpc(account: Account, request: Request, _now: float, key: str) -> Answer:
    return Answer(200, {"vpc": vpcs.shape(vpcs.update(account, key, request.body))})


def _delete_vpc(account: Account, _request: Request, now: float, key: str) -> Answer:
    vpcs.delete(account, key, now)
    return Answer(204)


def _members(account: Account, request: Request, now: float, key: str) -> Answer:
    return page(request, "members", vpcs.members(account, key, now))


def _create_tag(account: Account, request: Request, now: float, _key: str) -> Answer:
    return Answer(201, {"tag": tags.shape(account, tags.create(account, request.body, now))})


def _list_tags(account: Account, request: Request, _now: float, _key: str) -> Answer:
    return page(request, "tags", [tags.shape(account, name) for name in account.tags])


def _get_tag(account: Account, _request: Request, _now: float, key: str) -> Answer:
    return Answer(200, {"tag": tags.shape(account, tags.find(account, key))})


def _delete_tag(account: Account, _request: Request, _now: float, key: str) -> Answer:
    tags.delete(account, key)
    return Answer(204)


def _tag(account: Account, request: Request, now: float, key: str) -> Answer:
    tags.assign(account, key, request.body, now, on=request.method == "POST")
    return Answer(204)


def _create_firewall(account: Account, request: Request, now: float, _key: str) -> Answer:
    firewall = firewalls.create(account, request.body, now)
    return Answer(202, {"firewall": firewalls.shape(account, firewall, now)})


def _list_firewalls(account: Account, request: Request, now: float, _key: str) -> Answer:
    found = [firewalls.shape(account, firewall, now) for firewall in account.firewalls.values()]
    return page(request, "firewalls", found)


def _get_firewall(account: Account, _request: Request, now: float, key: str) -> Answer:
    return Answer(200, {"firewall": firewalls.shape(account, firewalls.find(account, key), now)})


def _replace_firewall(account: Account, request: Request, now: float, key: str) -> Answer:
    firewall = firewalls.replace(account, key, request.body, now)
    return Answer(200, {"firewall": firewalls.shape(account, firewall, now)})


def _delete_firewall(account: Account, _request: Request, _now: float, key: str) -> Answer:
    firewalls.delete(account, key)
    return Answer(204)


def _change_firewall(account: Account, request: Request, now: float, key: str) -> Answer:
    part = request.path.rpartition("/")[2]
    firewalls.change(account, key, part, request.body, now, add=request.method == "POST")
    return Answer(204)


def _create_volume(account: Account, request: Request, now: float, _key: str) -> Answer:
    return Answer(201, {"volume": volumes.shape(volumes.create(account, request.body, now), now)})


def _list_volumes(account: Account, request: Request, now: float, _key: str) -> Answer:
    return page(request, "volumes", [volumes.shape(one, now) for one in volumes.listed(account, request.query)])


def _get_volume(account: Account, _request: Request, now: float, key: str) -> Answer:
    return Answer(200, {"volume": volumes.shape(volumes.find(account, key), now)})


def _delete_volume(account: Account, _request: Request, now: float, key: str) -> Answer:
    volumes.delete(account, key, now)
    return Answer(204)


def _act_on_volume(account: Account, request: Request, now: float, key: str) -> Answer:
    action = volumes.act(account, key, request.body, now)
    return Answer(202, {"action": droplets.action_shape(account, action, now)})


def _create_key(account: Account, request: Request, now: float, _key: str) -> Answer:
    return Answer(201, {"ssh_key": ssh_keys.shape(ssh_keys.create(account, request.body, now))})


def _list_keys(account: Account, request: Request, now: float, _key: str) -> Answer:
    return page(request, "ssh_keys", [ssh_keys.shape(key) for key in ssh_keys.listed(account, now)])


def _get_key(account: Account, _request: Request, _now: float, key: str) -> Answer:
    return Answer(200, {"ssh_key": ssh_keys.shape(ssh_keys.find(account, key))})


def _delete_key(account: Account, _request: Request, _now: float, key: str) -> Answer:
    ssh_keys.delete(account, key)
    return Answer(204)


def _create_address(account: Account, request: Request, now: float, _key: str) -> Answer:
    made = reserved_ips.create(account, request.body, now)
    return Answer(
        202, {"reserved_ip": reserved_ips.shape(account, made, now), "links": {"droplets": [], "actions": []}}
    )


def _list_addresses(account: Account, request: Request, now: float, _key: str) -> Answer:
    found = [reserved_ips.shape(account, one, now) for one in account.reserved_ips.values()]
    return page(request, "reserved_ips", found)


def _get_address(account: Account, _request: Request, now: float, key: str) -> Answer:
    return Answer(200, {"reserved_ip": reserved_ips.shape(account, reserved_ips.find(account, key), now)})


def _delete_address(account: Account, _request: Request, now: float, key: str) -> Answer:
    reserved_ips.release(account, key, now)
    return Answer(204)


def _act_on_address(account: Account, request: Request, now: float, key: str) -> Answer:
    action = reserved_ips.act(account, key, request.body, now)
    return Answer(201, {"action": droplets.action_shape(account, action, now)})


def _create_spaces_key(account: Account, request: Request, now: float, _key: str) -> Answer:
    return Answer(201, {"key": spaces_keys.shape(spaces_keys.create(account, request.body, now), with_secret=True)})


def _list_spaces_keys(account: Account, request: Request, _now: float, _key: str) -> Answer:
    return page(request, "keys", [spaces_keys.shape(one) for one in spaces_keys.listed(account, request.query)])


def _get_spaces_key(account: Account, _request: Request, _now: float, key: str) -> Answer:
    return Answer(200, {"key": spaces_keys.shape(spaces_keys.find(account, key))})


def _delete_spaces_key(account: Account, _request: Request, _now: float, key: str) -> Answer:
    spaces_keys.delete(account, key)
    return Answer(204)


_ROUTES: tuple[tuple[str, re.Pattern[str], Handler], ...] = tuple(
    (method, re.compile(path.replace("{key}", "(?P<key>[^/]+)")), handler)
    for method, path, handler in (
        ("GET", "/v2/account", _account),
        ("GET", "/v2/account/keys", _list_keys),
        ("POST", "/v2/account/keys", _create_key),
        ("GET", "/v2/account/keys/{key}", _get_key),
        ("DELETE", "/v2/account/keys/{key}", _delete_key),
        ("GET", "/v2/actions", _list_actions),
        ("GET", "/v2/actions/{key}", _get_action),
        ("GET", "/v2/droplets", _list_droplets),
        ("POST", "/v2/droplets", _create_droplet),
        ("DELETE", "/v2/droplets", _delete_droplets),
        ("GET", "/v2/droplets/{key}", _get_droplet),
        ("DELETE", "/v2/droplets/{key}", _delete_droplet),
        ("GET", "/v2/droplets/{key}/actions", _list_events),
        ("POST", "/v2/droplets/{key}/actions", _act),
        ("GET", "/v2/firewalls", _list_firewalls),
        ("POST", "/v2/firewalls", _create_firewall),
        ("GET", "/v2/firewalls/{key}", _get_firewall),
        ("PUT", "/v2/firewalls/{key}", _replace_firewall),
        ("DELETE", "/v2/firewalls/{key}", _delete_firewall),
        ("POST", "/v2/firewalls/{key}/(?:droplets|tags|rules)", _change_firewall),
        ("DELETE", "/v2/firewalls/{key}/(?:droplets|tags|rules)", _change_firewall),
        ("GET", "/v2/images", _images),
        ("GET", "/v2/images/{key}", _image),
        ("DELETE", "/v2/images/{key}", _delete_image),
        ("GET", "/v2/regions", _regions),
        ("GET", "/v2/reserved_ips", _list_addresses),
        ("POST", "/v2/reserved_ips", _create_address),
        ("GET", "/v2/reserved_ips/{key}", _get_address),
        ("DELETE", "/v2/reserved_ips/{key}", _delete_address),
        ("POST", "/v2/reserved_ips/{key}/actions", _act_on_address),
        ("GET", "/v2/sizes", _sizes),
        ("GET", "/v2/spaces/keys", _list_spaces_keys),
        ("POST", "/v2/spaces/keys", _create_spaces_key),
        ("GET", "/v2/spaces/keys/{key}", _get_spaces_key),
        ("DELETE", "/v2/spaces/keys/{key}", _delete_spaces_key),
        ("GET", "/v2/tags", _list_tags),
        ("POST", "/v2/tags", _create_tag),
        ("GET", "/v2/tags/{key}", _get_tag),
        ("DELETE", "/v2/tags/{key}", _delete_tag),
        ("POST", "/v2/tags/{key}/resources", _tag),
        ("DELETE", "/v2/tags/{key}/resources", _tag),
        ("GET", "/v2/volumes", _list_volumes),
        ("POST", "/v2/volumes", _create_volume),
        ("GET", "/v2/volumes/{key}", _get_volume),
        ("DELETE", "/v2/volumes/{key}", _delete_volume),
        ("POST", "/v2/volumes/{key}/actions", _act_on_volume),
        ("GET", "/v2/vpcs", _list_vpcs),
        ("POST", "/v2/vpcs", _create_vpc),
        ("GET", "/v2/vpcs/{key}", _get_vpc),
        ("PUT", "/v2/vpcs/{key}", _update_vpc),
        ("PATCH", "/v2/vpcs/{key}", _update_vpc),
        ("DELETE", "/v2/vpcs/{key}", _delete_vpc),
        ("GET", "/v2/vpcs/{key}/members", _members),
    )
)
