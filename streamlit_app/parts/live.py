"""Changes heard from the API's event stream, in one thread per pool for all sessions of this process.

Parts of a page look here each second and ask the API again only when something did move, or some time has passed.
"""

import contextlib
import threading
import time
from dataclasses import dataclass, field

import httpx
import streamlit as st

from streamlit_app.client import api_url

_IDLE_SECONDS = 60.0
"""A stream that no page has asked for so long ends."""
_QUIET_SECONDS = 5.0
"""Without news a page is refreshed so often: time itself moves figures."""
_SETTLING_SECONDS = 3.0
"""After news it is refreshed each second for so long: an answer that the API shares may be a second older than they."""
_TIMEOUT = httpx.Timeout(5.0, read=30.0)


@dataclass
class Feed:
    """One pool's stream. `revision` grows with everything that happens."""

    pool_id: int
    token: str | None
    revision: int = 0
    connected: bool = False
    moved_at: float = field(default_factory=time.monotonic)
    asked_at: float = field(default_factory=time.monotonic)
    _last_id: str | None = None

    def listen(self) -> None:
        """Hear the stream until nobody asks any more; connects again by itself, where it left off."""
        while time.monotonic() - self.asked_at < _IDLE_SECONDS:
            with contextlib.suppress(httpx.HTTPError):
                self._hear()
            self.connected = False
            time.sleep(1.0)

    def _hear(self) -> None:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        if self._last_id:
            headers["Last-Event-ID"] = self._last_id
        with httpx.stream(
            "GET",
            f"{api_url()}/v1/events",
            params={"pool_id": self.pool_id},
            headers=headers,
            timeout=_TIMEOUT,
        ) as answer:
            if answer.is_error:
                return
            self.connected = True
            for line in answer.iter_lines():
                name, _, value = line.partition(": ")
                if name == "id":
                    self._last_id = value
                elif name == "event" and value != "beat":
                    self.moved_at = time.monotonic()
                    self.revision += 1
                if time.monotonic() - self.asked_at > _IDLE_SECONDS:
                    return


class Feeds:
    """The streams of this process."""

    def __init__(self) -> None:
        self._feeds: dict[tuple[int, str | None], tuple[Feed, threading.Thread]] = {}
        self._lock = threading.Lock()

    def of(self, pool_id: int, token: str | None) -> Feed:
        """A pool's stream, begun when it is first asked for."""
        with self._lock:
            known = self._feeds.get((pool_id, token))
            if known is None or not known[1].is_alive():
                feed = Feed(pool_id, token)
                thread = threading.Thread(target=feed.listen, name=f"feed-{pool_id}", daemon=True)
                self._feeds[pool_id, token] = known = (feed, thread)
                thread.start()
            known[0].asked_at = time.monotonic()
            return known[0]


@st.cache_resource(show_spinner=False)
def _feeds() -> Feeds:
    return Feeds()


def revision(pool_id: int) -> tuple[int, int, bool]:
    """Something that is equal as long as a page need not ask again, and whether the stream is heard."""
    feed = _feeds().of(pool_id, st.session_state.get("token"))
    return feed.revision, pulse(time.monotonic(), feed.moved_at, feed.connected), feed.connected


def pulse(now: float, moved_at: float, connected: bool) -> int:
    """A number that is another one whenever a page shall look again without news."""
    if now - moved_at < _SETTLING_SECONDS:
        return -int(now)
    return int(now / (_QUIET_SECONDS if connected else 2.0))
