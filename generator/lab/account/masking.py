"""Makes the record of a request and its answer that may be kept: no token, no launch part."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Any

MASK = "***"
_SECRET_HEADERS = ("authorization", "cookie", "x-dangerous-token")
_BOUNDARY = re.compile(r'^Content-Type: multipart/[^\n]*boundary="?([^"\s;]+)', re.IGNORECASE | re.MULTILINE)
_TOKEN = re.compile(r"dop_v1_[0-9a-f]{8,}|DO00[0-9A-Z]{16}|X-Amz-(?:Signature|Credential)=[^&\s\"]+")


def record(
    *,
    time: str,
    method: str,
    path: str,
    headers: Mapping[str, str],
    body: object,
    status: int,
    answer: object,
    seconds: float,
) -> dict[str, Any]:
    """Give what the log keeps of one exchange."""
    return {
        "time": time,
        "method": method,
        "path": _TOKEN.sub(MASK, path),
        "headers": {
            name: MASK if name.lower() in _SECRET_HEADERS else _TOKEN.sub(MASK, value)
            for name, value in headers.items()
        },
        "body": masked(body),
        "status": status,
        "answer": masked(answer),
        "seconds": round(seconds, 4),
    }


def masked(value: Any) -> Any:
    """Mask what a JSON value must not show: user-data by its parts, anything that looks like a token."""
    if isinstance(value, Mapping):
        return {key: _MASKS.get(key, masked)(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [masked(entry) for entry in value]
    return _TOKEN.sub(MASK, value) if isinstance(value, str) else value


def user_data(text: object) -> dict[str, Any]:
    """Describe user-data: the reviewed document by size and digest, the launch part by its presence alone.

    Not even a digest of the launch part is kept, nor one of the whole, for either could confirm a guess.
    """
    if not isinstance(text, str):
        return {"kind": type(text).__name__}
    parts = split(text)
    document = parts[0].encode()
    found: dict[str, Any] = {"bytes": len(text.encode()), "parts": len(parts)}
    if len(parts) > 1:
        found |= {"document_bytes": len(document), "document_sha256": hashlib.sha256(document).hexdigest()}
        found["launch"] = MASK
    return found


def split(text: str) -> list[str]:
    """Split user-data into the bodies of its MIME parts; what isn't multipart is one part."""
    head, _, rest = text.partition("\n\n")
    boundary = _BOUNDARY.search(head)
    if boundary is None:
        return [text]
    bodies = []
    for part in f"\n{rest}".split(f"\n--{boundary[1]}")[1:]:
        if part.startswith("--"):
            break
        bodies.append(part.partition("\n\n")[2])
    return bodies or [text]


_MASKS: Mapping[str, Callable[[Any], Any]] = {"user_data": user_data, "secret_key": lambda _: MASK}
