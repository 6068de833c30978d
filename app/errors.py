"""What can go wrong in words a user can act on; one handler makes RFC 9457 problem details of them.

DomainError
├── NotFound            404  the thing does not exist, or the caller may not know that it does
├── Conflict            409  the thing is not in a state that allows this
│   ├── AlreadyExists   409  a unique value is taken
│   ├── ForbiddenMove   409  the task's status does not allow the move; says which moves it does
│   └── StaleVersion    412  somebody else changed it since it was read
├── Invalid             422  a value is wrong; `errors` name each field, the reason and the remedy
│   └── KeyReused       422  an Idempotency-Key came again with another body
├── Unauthenticated     401  no credentials, or not valid ones
├── Forbidden           403  the role does not allow this
├── TooLarge            413  more in one request than is taken
├── Overloaded          429  come back after `retry_after` seconds
└── Unavailable         503  a part the request needs is down; come back after `retry_after` seconds
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal, Self

from app.messages.message import Message, say


@dataclass(frozen=True, slots=True)
class FieldError:
    """One wrong value: where it is (JSON path), what is wrong, and what to do."""

    field: str
    reason: Message
    remedy: Message | Literal[""] = ""


class DomainError(Exception):
    """The base: an HTTP status, a stable code, and a message that names the field and the remedy.

    `meaning` and `remedy` tell of the kind; docs/errors.md lists them.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"
    title: ClassVar[Message] = say("Internal error")
    meaning: ClassVar[Message] = say("A defect of the service.")
    remedy: ClassVar[Message] = say("Tell the operator the `request_id`: the logs name the defect by it.")

    def __init__(self, detail: Message, **members: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.members = members

    @property
    def headers(self) -> dict[str, str]:
        """Response headers that belong to this error."""
        return {}


class NotFound(DomainError):
    """The thing does not exist, or the caller may not know that it does."""

    status, code, title = 404, "not_found", say("Not found")
    meaning = say("What was asked for does not exist, or it is not in the caller's reach.")
    remedy = say("Check the id and the pool; ask an admin if it should be in your reach.")


class Conflict(DomainError):
    """The thing is not in a state that allows this."""

    status, code, title = 409, "conflict", say("Conflict")
    meaning = say("The state of the thing does not allow this.")
    remedy = say("Read the thing again, and do first what the detail names.")


class AlreadyExists(Conflict):
    """A unique value is taken."""

    code, title = "already_exists", say("Already exists")
    meaning = say("A value that must be unique is taken.")
    remedy = say("Choose another value, or change the thing that has it.")


class ForbiddenMove(Conflict):
    """The task's status does not allow the move."""

    code, title = "forbidden_move", say("Move not allowed")
    meaning = say("The task's status does not allow the move.")
    remedy = say("Choose one of the moves in `allowed`.")

    def __init__(self, status: str, move: str, allowed: Sequence[str]) -> None:
        listed = list(allowed) or say("none")
        super().__init__(
            say(
                "A task that is {status} cannot {move}; allowed now: {listed}.",
                status=status,
                move=move,
                listed=listed,
            ),
            task_status=status,
            move=move,
            allowed=list(allowed),
        )


class StaleVersion(Conflict):
    """Somebody else changed it since it was read: read it again and repeat."""

    status, code, title = 412, "stale_version", say("Changed meanwhile")
    meaning = say("Somebody changed the thing since it was read.")
    remedy = say("Read it again, and repeat with the new version.")


class Invalid(DomainError):
    """One or more values are wrong."""

    status, code, title = 422, "invalid", say("Invalid value")
    meaning = say("One or more values are wrong.")
    remedy = say("Correct each value named in `errors`, and send it again.")

    def __init__(self, detail: Message, errors: Sequence[FieldError] = (), **members: Any) -> None:
        if errors:
            members["errors"] = [asdict(error) for error in errors]
        super().__init__(detail, **members)

    @classmethod
    def at(cls, field: str, reason: Message, remedy: Message) -> Self:
        """The error of one wrong value."""
        detail = say("{field}: {reason}; {remedy}.", field=field, reason=reason, remedy=remedy)
        return cls(detail, [FieldError(field, reason, remedy)])


class KeyReused(Invalid):
    """An Idempotency-Key came again with another body."""

    code, title = "idempotency_key_reused", say("Idempotency key reused")
    meaning = say("An Idempotency-Key came again with another body.")
    remedy = say("Use a new key for a new request.")


class Unauthenticated(DomainError):
    """No credentials, or not valid ones."""

    status, code, title = 401, "unauthenticated", say("Sign in first")
    meaning = say("Credentials are missing, or not valid any more.")
    remedy = say("Sign in, or send a valid API key.")

    @property
    def headers(self) -> dict[str, str]:
        """RFC 6750: the scheme that is asked for."""
        return {"WWW-Authenticate": "Bearer"}


class Forbidden(DomainError):
    """The role does not allow this."""

    status, code, title = 403, "forbidden", say("Not allowed")
    meaning = say("The role of the caller does not allow this.")
    remedy = say("Ask an admin for a role that allows it.")


class TooLarge(DomainError):
    """More in one request than is taken."""

    status, code, title = 413, "too_large", say("Too large")
    meaning = say("The request holds more than is taken at once.")
    remedy = say("Send it in smaller parts.")


class _Later(DomainError):
    def __init__(self, detail: Message, retry_after: int = 1, **members: Any) -> None:
        super().__init__(detail, **members)
        self.retry_after = retry_after

    @property
    def headers(self) -> dict[str, str]:
        """When to come back, in whole seconds."""
        return {"Retry-After": str(self.retry_after)}


class Overloaded(_Later):
    """More work is queued than can be taken in; come back after `retry_after` seconds."""

    status, code, title = 429, "overloaded", say("Too many requests")
    meaning = say("More requests wait than can be taken in.")
    remedy = say("Repeat after the seconds of Retry-After.")


class Unavailable(_Later):
    """A part that the request needs is down; come back after `retry_after` seconds."""

    status, code, title = 503, "unavailable", say("Unavailable")
    meaning = say("A part that the request needs is down.")
    remedy = say("Repeat after the seconds of Retry-After; `GET /v1/health` names what is down.")
