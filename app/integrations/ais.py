"""The external system (АИС) over HTTP: slow (2 to 10 s an answer), sometimes down, so every call has a deadline."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from app.utils.trouble import Down

_CONNECT_SECONDS = 3.0


class AisDown(Down):
    """The system did not answer, or not as agreed: nothing is known of what it took in. Send it again later."""


class AisRefused(AisDown):
    """The system understood the connection and not the request."""


_REFUSED = frozenset({400, 404, 409, 413, 415, 422})


@dataclass(frozen=True, slots=True)
class DeliveryVerdict:
    """Answer to one message: taken in, or refused for good with a reason."""

    accepted: bool
    reason: str = ""


class AisClient:
    """One connection pool to the external system; close it when done."""

    def __init__(self, base_url: str, *, timeout: float) -> None:
        self._client = httpx.AsyncClient(
            base_url=base_url,
            timeout=httpx.Timeout(timeout, connect=min(timeout, _CONNECT_SECONDS)),
            follow_redirects=False,
            trust_env=False,
        )

    async def send(self, messages: Sequence[dict[str, Any]]) -> dict[int, DeliveryVerdict]:
        """Hand over messages about different tasks; the verdict on each by delivery id. Raises AisDown."""
        try:
            body = await self._ask("POST", "/ais/assignments", json={"assignments": list(messages)})
        except AisRefused as refused:
            return await self._one_by_one(messages, str(refused))
        results = body.get("results") if isinstance(body, dict) else None
        if not isinstance(results, list):
            raise AisDown("the answer is not as agreed: no results")
        return {
            number: DeliveryVerdict(bool(result.get("accepted")), str(result.get("reason", "")))
            for result in results
            if isinstance(result, dict) and (number := whole_number(result.get("delivery_id"))) is not None
        }

    async def _one_by_one(
        self, messages: Sequence[dict[str, Any]], reason: str
    ) -> dict[int, DeliveryVerdict]:
        """One message that the system cannot read must not hold up its neighbours."""
        if len(messages) == 1:
            return {messages[0]["delivery_id"]: DeliveryVerdict(False, reason)}
        verdicts: dict[int, DeliveryVerdict] = {}
        for said in await asyncio.gather(*(self.send([message]) for message in messages)):
            verdicts |= said
        return verdicts

    async def assignments(self, task_ids: Sequence[int]) -> dict[int, dict[str, Any]]:
        """State of these tasks in the system, by task id; unknown ones are missing. Raises AisDown.

        An item that names no task is passed over: its task counts as not shown.
        """
        body = await self._ask("GET", "/ais/assignments", params={"task_id": list(task_ids)})
        return {
            number: item
            for item in _items(body)
            if isinstance(item, dict) and (number := whole_number(item.get("task_id"))) is not None
        }

    async def executors(self) -> list[Any]:
        """All people in the system, unchecked. Raises AisDown."""
        return _items(await self._ask("GET", "/ais/executors"))

    async def close(self) -> None:
        """Give the connections back."""
        await self._client.aclose()

    async def _ask(self, method: str, path: str, **options: Any) -> Any:
        try:
            response = await self._client.request(method, path, **options)
            if response.status_code in _REFUSED:
                raise AisRefused(f"{response.status_code} {response.text[:200]}")
            response.raise_for_status()
            return response.json()
        except (httpx.HTTPError, ValueError) as error:
            raise AisDown(str(error) or type(error).__name__) from error


@asynccontextmanager
async def closing_client(base_url: str, seconds: float) -> AsyncIterator[AisClient]:
    """A client for a few requests."""
    client = AisClient(base_url, timeout=seconds)
    try:
        yield client
    finally:
        await client.close()


def _items(body: Any) -> list[Any]:
    items = body.get("items") if isinstance(body, dict) else None
    if not isinstance(items, list):
        raise AisDown("the answer is not as agreed: no items")
    return items


def whole_number(value: object) -> int | None:
    """Read a whole number, or the text of one; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    try:
        return int(value)
    except ValueError:
        return None
