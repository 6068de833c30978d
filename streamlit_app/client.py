"""The API as the dashboard calls it: one connection pool for all sessions, answers as plain values, errors in words."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import httpx

Json = dict[str, Any]
"""A resource as the API shows it; its form is the API's OpenAPI document."""

_TIMEOUT = httpx.Timeout(30.0, connect=3.0)


@dataclass(frozen=True, slots=True)
class ApiFault:
    """One wrong value: where it is, what is wrong, what to do."""

    field: str
    reason: str
    remedy: str = ""


@dataclass
class ApiError(Exception):
    """The API refused, or did not answer (`status` 0)."""

    status: int
    code: str
    detail: str
    faults: list[ApiFault] = field(default_factory=list)
    members: Json = field(default_factory=dict)
    by_hand: bool = False
    """Whether something was to be changed: pages that look again by themselves only ask."""

    @property
    def unreachable(self) -> bool:
        """Whether nobody answered at all."""
        return self.status == 0


def api_url() -> str:
    """Where the API is."""
    return os.environ.get("API_URL", "http://127.0.0.1:8000").rstrip("/")


@cache  # one address, or in tests a few; what is pushed out of a smaller one would not be closed
def _connections(base_url: str) -> httpx.Client:
    limits = httpx.Limits(max_connections=64, max_keepalive_connections=16)
    return httpx.Client(base_url=base_url, timeout=_TIMEOUT, limits=limits)


@dataclass(frozen=True, slots=True)
class Api:
    """The API on behalf of one person, in the language that they read."""

    token: str | None = None
    language: str = "en"

    def get(self, path: str, **query: Any) -> Any:
        """Read a resource."""
        return self._ask("GET", path, query=query)

    def post(self, path: str, body: Any = None, **query: Any) -> Any:
        """Make or do something."""
        return self._ask("POST", path, body=body, query=query)

    def put(self, path: str, body: Any) -> Any:
        """Say all of something anew."""
        return self._ask("PUT", path, body=body)

    def patch(self, path: str, body: Any, version: int | None = None) -> Any:
        """Change something, if it is still the version that was looked at."""
        return self._ask("PATCH", path, body=body, version=version)

    def delete(self, path: str, **query: Any) -> None:
        """Remove something."""
        self._ask("DELETE", path, query=query)

    def upload(self, path: str, name: str, content: bytes, **query: Any) -> Any:
        """Send a file."""
        return _value(self._send("POST", path, query=query, files={"file": (name, content)}))

    def download(self, path: str, **query: Any) -> bytes:
        """A file as it is."""
        return self._send("GET", path, query=query).content

    def pages(self, path: str, most: int = 20_000, **query: Any) -> list[Json]:
        """All items of a list that comes in pages, up to `most`."""
        items: list[Json] = []
        cursor: str | None = None
        while len(items) < most:
            page = self.get(path, limit=1000, cursor=cursor, **query)
            items += page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        return items

    def _ask(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        query: Mapping[str, Any] | None = None,
        version: int | None = None,
    ) -> Any:
        return _value(self._send(method, path, body=body, query=query, version=version))

    def _send(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        query: Mapping[str, Any] | None = None,
        version: int | None = None,
        files: Any = None,
    ) -> httpx.Response:
        headers = {"Accept-Language": self.language}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        if version is not None:
            headers["If-Match"] = f'"{version}"'
        params = {name: value for name, value in (query or {}).items() if value is not None}
        try:
            answer = _connections(api_url()).request(
                method, path, params=params, json=body, headers=headers, files=files
            )
        except httpx.HTTPError as error:
            raise ApiError(0, "unreachable", str(error) or type(error).__name__) from error
        if answer.is_error:
            error = _error(answer)
            error.by_hand = method != "GET"
            raise error
        return answer


def _value(answer: httpx.Response) -> Any:
    return answer.json() if answer.content else None


def _error(answer: httpx.Response) -> ApiError:
    try:
        problem = answer.json()
        faults = [
            ApiFault(fault["field"], fault["reason"], fault.get("remedy", ""))
            for fault in problem.get("errors") or ()
        ]
        return ApiError(answer.status_code, problem["code"], problem["detail"], faults, problem)
    except (ValueError, KeyError, TypeError):
        return ApiError(answer.status_code, "unknown", answer.text[:300] or answer.reason_phrase)
