"""Carries the requests of pydo and boto3, which read answers whole, within bounds of bytes and of seconds in all."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import requests
import requests.adapters
import urllib3
from azure.core.pipeline.transport import RequestsTransport
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import EndpointConnectionError, ReadTimeoutError

from generator import bounded, deadline

LIMIT_BYTES = 16 * 1024 * 1024
"""Of an answer: a page of two hundred droplets has half a MiB, the largest object that is read one."""
LIMIT_SECONDS = 60.0
_CONNECT_SECONDS, _READ_SECONDS = 10.0, 60.0


class Transport(RequestsTransport):  # type: ignore[misc]
    """What pydo sends its requests with."""

    def __init__(self, ca_file: Path | None, **options: Any) -> None:
        super().__init__(**options)
        self._ca_file = ca_file

    def _init_session(self, session: requests.Session) -> None:
        super()._init_session(session)
        session.mount("https://", _Adapter(self._ca_file))


class _Adapter(requests.adapters.HTTPAdapter):
    def __init__(self, ca_file: Path | None) -> None:
        self._context = deadline.context(ca_file)
        super().__init__(max_retries=urllib3.Retry(total=False, redirect=False, raise_on_status=False))

    def init_poolmanager(self, *arguments: Any, **options: Any) -> Any:
        return super().init_poolmanager(*arguments, ssl_context=self._context, **options)

    def proxy_manager_for(self, *arguments: Any, **options: Any) -> Any:
        return super().proxy_manager_for(*arguments, ssl_context=self._context, **options)

    def send(self, request: requests.PreparedRequest, *arguments: Any, **options: Any) -> requests.Response:
        with deadline.within(LIMIT_SECONDS):
            answer = super().send(request, *arguments, **{**options, "stream": True})
            pieces = answer.iter_content(bounded.PIECE_BYTES)
            try:
                content = _bounded(pieces)
            except bounded.TooMuch as error:
                raise requests.exceptions.ReadTimeout(str(error), request=request) from error
            finally:
                answer.close()
        # As if the library had read it itself.
        answer._content, answer._content_consumed = content, True
        return answer


def sender(proxy: str | None, ca_file: Path | None) -> Callable[..., AWSResponse]:
    """Give what boto3's event `before-send` is to be answered with: one request, carried within bounds.

    Source: https://github.com/boto/botocore/blob/develop/botocore/endpoint.py (a handler's answer is taken for the
    server's)
    """
    timeout = urllib3.Timeout(connect=_CONNECT_SECONDS, read=_READ_SECONDS)
    options: dict[str, Any] = {"ssl_context": deadline.context(ca_file), "timeout": timeout, "retries": False}
    pool = urllib3.ProxyManager(proxy, **options) if proxy else urllib3.PoolManager(**options)

    def send(request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        url, headers = str(request.url), {name: _text(value) for name, value in request.headers.items()}
        try:
            with deadline.within(LIMIT_SECONDS):
                answer = pool.urlopen(
                    str(request.method),
                    url,
                    body=request.body,
                    headers=headers,
                    redirect=False,
                    preload_content=False,
                    decode_content=False,
                )
                try:
                    body = bounded.read(answer.read1, limit_bytes=LIMIT_BYTES, seconds=LIMIT_SECONDS)
                finally:
                    answer.close()
        except bounded.TooMuch as error:
            raise ReadTimeoutError(endpoint_url=url, error=error) from error
        except urllib3.exceptions.ReadTimeoutError as error:
            raise ReadTimeoutError(endpoint_url=url, error=error) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise EndpointConnectionError(endpoint_url=url, error=error) from error
        named = [(name, value) for name, value in answer.headers.items() if not _is_no_length(name, value)]
        return AWSResponse(url, answer.status, HTTPHeaders.from_pairs(named), _Body(body))

    return send


class _Body(io.BytesIO):
    """A body that is there already, as boto3 asks for one."""

    def stream(self, amount: int = bounded.PIECE_BYTES, **_: Any) -> Iterator[bytes]:
        """Give the body piece by piece."""
        while piece := self.read(amount):
            yield piece


def _bounded(pieces: Iterator[bytes]) -> bytes:
    return bounded.read(lambda _: next(pieces, b""), limit_bytes=LIMIT_BYTES, seconds=LIMIT_SECONDS)


def stay(context: dict[str, Any], **_: Any) -> None:
    """Keep boto3 from asking another region's server: it would follow every refusal there, and without end."""
    context.setdefault("s3_redirect", {})["redirected"] = True


def _is_no_length(name: str, value: str) -> bool:
    return name.lower() == "content-length" and not value.isdecimal()


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)
