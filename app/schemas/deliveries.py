"""Deliveries and webhooks as the API speaks of them."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from app.schemas.common import Reference

Url = Annotated[str, StringConstraints(min_length=1, max_length=2000, pattern=r"^https?://[^\x00]+$")]
Secret = Annotated[str, StringConstraints(min_length=16, max_length=200, pattern=r"^[\x21-\x7e]+$")]


class DeliveryOut(BaseModel):
    """One message about a task, to one receiver."""

    delivery_id: int
    pool_id: int
    task_id: int
    sequence: int = Field(description="Grows with each message about the task; receivers keep the newest.")
    destination: str = Field(examples=["ais", "webhook:3"])
    event: str
    payload: dict[str, Any]
    state: Literal["waiting", "failing", "delivered", "dead"]
    attempts: int
    next_attempt_at: datetime
    delivered_at: datetime | None
    dead_at: datetime | None
    last_error: str | None
    created_at: datetime


class DeliveryPage(BaseModel):
    """One page of messages, newest first."""

    items: list[DeliveryOut]
    next_cursor: str | None


class WebhookIn(BaseModel):
    """An address that a pool's messages are sent to."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"url": "https://example.com/balancer"}]}
    )

    pool_id: Reference | None = Field(None, description="The pool; the default pool where left out.")
    url: Url
    secret: Secret | None = Field(None, description="Signs the messages; made up where left out.")


class WebhookOut(BaseModel):
    """A webhook; its secret is shown once, when it is made."""

    webhook_id: int
    pool_id: int
    url: str
    created_by: str
    created_at: datetime


class WebhookCreated(WebhookOut):
    """A new webhook with its secret."""

    secret: str


class WebhookList(BaseModel):
    """A pool's webhooks."""

    items: list[WebhookOut]
