"""The trail: who carried what when each decision was made, for good and for a few bytes a decision.

Levels, open work, limits and presence change with every batch, and no table of the present keeps them. So the
caller may ask for a *frame* per batch::

    state.trail.begin(state, number)      # number: the epoch, unique in the pool and growing
    outcome = place(state, tasks)         # once or several times
    content = state.trail.end()           # plain JSON, to be stored under (pool, number)

A frame says what changed since the frame before it (or everything: then `start` is its own number) and who
received what in it. To know the picture before decision `step` of frame `number`, read the frames that carry
the same `start`, up to `number`, in order, and hand them to `picture_at`. Nothing is decided again: rows are
replaced, weights are added. Weights are in thousandths of a task unit.

A frame::

    start      number of the frame with everything that this one builds on
    full       only there: the columns of everybody; a column that is one value throughout is just that value
    settings   only there: [policy, theta, day_load]
    outlook    where it is another than in the frame before: see `outlook` (null: none)
    changed    rows of COLUMNS for those who changed since the last frame other than by its decisions
    sequence   number of the last assignment before this frame
    to         executor ids in the order in which they were chosen
    weight     weight of each, or only the first when all are equal
    fixed      steps that were forced (parent, rework, manual) and use up no daily limit
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from app.engine.fairness.forecast import Outlook
from app.engine.types import AssignmentKind, ExecutorId, Policy

Frame: TypeAlias = dict[str, Any]

COLUMNS = (
    "ids",
    "level",
    "used",
    "open",
    "last",
    "limit",
    "max_open",
    "qualification",
    "here",
    "active",
    "ended",
)
_LIMITS = ("limit", "max_open")
_NO_LIMIT = 1 << 60
_MOST_FRAMES = 500
"""Frames to be read for one explanation."""
_MOST_ROWS = 4
"""Rows to be read for one explanation, for each executor: a full frame costs as much as one for each."""
ROUTED = frozenset({AssignmentKind.PRIMARY, AssignmentKind.REASSIGN})
"""Kinds that use up the daily limit."""


class LoggedSettings(Protocol):
    """The settings of a pool that a frame keeps."""

    @property
    def policy(self) -> Policy:
        """How the next executor is chosen."""

    @property
    def theta(self) -> float:
        """Day loads that one point of preference is worth."""

    @property
    def day_load(self) -> float:
        """Expected weight of a business day per unit of qualification."""


class LoggedState(Protocol):
    """The part of a pool state that frames keep; it has the columns of `COLUMNS` as arrays of shape (n,)."""

    @property
    def settings(self) -> LoggedSettings:
        """How the pool distributes."""

    @property
    def outlook(self) -> Outlook | None:
        """The forecast of the day, if there is one."""

    @property
    def sequence(self) -> int:
        """Number of the pool's last assignment."""

    def __len__(self) -> int: ...


class DecisionLog:
    """Records loads and decisions of a pool state for later explanations. Records nothing until `begin` is called."""

    def __init__(self) -> None:
        self.number: int | None = None
        self._touched: set[int] = set()
        self._frame: Frame = {}
        self._to: list[ExecutorId] = []
        self._weights: list[int] = []
        self._fixed: list[int] = []
        self._start = 0
        self._settings: object = None
        self._outlook: Outlook | None = None
        self._frames = 0
        self._rows = 0

    @property
    def step(self) -> int:
        """How many decisions the open frame holds."""
        return len(self._to)

    def touch(self, position: int) -> None:
        """Note that an executor changed other than by a decision."""
        self._touched.add(position)

    def begin(self, state: LoggedState, number: int) -> None:
        """Open a frame: everything placed until `end` belongs to it."""
        self._to, self._weights, self._fixed = [], [], []
        self._frames += 1
        self._rows += len(self._touched)
        if self._needs_all(state):
            self._start, self._settings, self._frames, self._rows = number, state.settings, 0, 0
            self._frame = {"start": number, "full": everybody(state), "settings": settings_row(state)}
        else:
            self._frame = {"start": self._start, "changed": _rows_of(state, sorted(self._touched))}
        if "full" in self._frame or self._outlook is not state.outlook:
            self._outlook = state.outlook
            self._frame |= outlook_row(state)
        self._frame["sequence"] = state.sequence
        self._touched.clear()
        self.number = number

    def record(self, executor_ids: Sequence[ExecutorId], weights: Sequence[int], routed: bool = True) -> None:
        """Add decisions to the open frame; weights in thousandths."""
        if self.number is None:
            return
        if not routed:
            self._fixed += range(len(self._to), len(self._to) + len(executor_ids))
        self._to += executor_ids
        self._weights += weights

    def end(self) -> Frame:
        """Close the frame and return what to store."""
        same = len(set(self._weights)) == 1
        weights = self._weights[:1] if same else self._weights
        frame = {**self._frame, "to": self._to, "weight": weights, "fixed": self._fixed}
        self._rows += len(self._to)
        self.number, self._frame = None, {}
        self._to, self._weights, self._fixed = [], [], []
        return frame

    def _needs_all(self, state: LoggedState) -> bool:
        outgrown = self._rows > _MOST_ROWS * len(state) + _MOST_FRAMES or self._frames > _MOST_FRAMES
        return outgrown or self._settings != state.settings


def settings_row(state: LoggedState) -> list[Any]:
    """The settings as a frame keeps them."""
    settings = state.settings
    return [settings.policy.value, settings.theta, settings.day_load]


def outlook_row(state: LoggedState) -> dict[str, Any]:
    """The outlook as a frame keeps it."""
    return {"outlook": None if state.outlook is None else state.outlook.as_json()}


def everybody(state: LoggedState) -> dict[str, Any]:
    """The columns of everybody as a frame keeps them."""
    columns: dict[str, Any] = {}
    for name in COLUMNS:
        values = _plain(name, getattr(state, name).tolist(), state.settings.policy)
        same = name != "ids" and len(set(values)) == 1
        columns[name] = values[0] if same else values
    return columns


def _rows_of(state: LoggedState, positions: list[int]) -> list[list[Any]]:
    if not positions:
        return []
    policy = state.settings.policy
    columns = [_plain(name, getattr(state, name)[positions].tolist(), policy) for name in COLUMNS]
    return [list(row) for row in zip(*columns, strict=True)]


def _plain(name: str, values: list[Any], policy: Policy) -> list[Any]:
    if name == "ended" and policy is not Policy.LONGEST_IDLE:  # no other policy asks for it
        return [0] * len(values)
    return [None if value >= _NO_LIMIT else value for value in values] if name in _LIMITS else values


@dataclass(slots=True)
class StandingBefore:
    """How one executor stood before a decision; `level`, `used` and `limit` in thousandths of a task unit."""

    ids: ExecutorId
    level: int
    used: int
    open: int
    last: int
    limit: int | None
    max_open: int | None
    qualification: float
    here: bool
    active: bool
    ended: int | None = None
    """When the last open task ended; None: `longest_idle` went by the last assignment when this was decided."""

    def receive(self, weight: int, routed: bool, sequence: int) -> None:
        """Count one more assignment."""
        self.level += weight
        self.used += weight if routed else 0
        self.open += 1
        self.last = sequence


@dataclass(frozen=True, slots=True)
class LoadPicture:
    """The loads of all executors before a decision, and the settings it was made with."""

    standings: Mapping[ExecutorId, StandingBefore]
    policy: str
    theta: float
    day_load: float
    outlook: Outlook | None = None


def picture_at(frames: Sequence[Mapping[str, Any]], step: int) -> LoadPicture:
    """The picture before decision `step` of the last of these frames.

    `frames` are all with the same `start`, in order, the first one with `full`. Raises ValueError otherwise.
    """
    if not frames or "full" not in frames[0]:
        raise ValueError("frames: the first one must carry everybody; read all with the same start, in order")
    standings = _unfold(frames[0]["full"])
    outlook = None
    for frame in frames:
        outlook = frame.get("outlook", outlook)
        for row in frame.get("changed", ()):
            standings[row[0]] = StandingBefore(*row)
        _apply(frame, standings, step if frame is frames[-1] else len(frame["to"]))
    policy, theta, day_load = frames[0]["settings"]
    return LoadPicture(standings, policy, theta, day_load, None if outlook is None else Outlook.of(outlook))


def standings_after(
    frames: Iterable[tuple[int, Mapping[str, Any]]],
) -> Iterator[tuple[int, Mapping[ExecutorId, StandingBefore]]]:
    """The loads of all executors before each frame's batch, as (number, loads); one mapping, updated in place.

    Frames come in order, the first one with `full`; loads in the standings are not followed.
    """
    standings: dict[ExecutorId, StandingBefore] = {}
    for number, frame in frames:
        if "full" in frame:
            standings = _unfold(frame["full"])
        for row in frame.get("changed", ()):
            standings[row[0]] = StandingBefore(*row)
        yield number, standings


def _unfold(full: Mapping[str, Any]) -> dict[ExecutorId, StandingBefore]:
    count = len(full["ids"])
    known = [full[name] for name in COLUMNS if name in full]
    columns = [column if isinstance(column, list) else [column] * count for column in known]
    return {row[0]: StandingBefore(*row) for row in zip(*columns, strict=True)}


def _apply(frame: Mapping[str, Any], standings: Mapping[ExecutorId, StandingBefore], steps: int) -> None:
    weight, fixed = frame["weight"], set(frame["fixed"])
    for step, executor_id in enumerate(frame["to"][:steps]):
        one = weight[step if len(weight) > 1 else 0]
        standings[executor_id].receive(one, step not in fixed, frame["sequence"] + step + 1)
