"""Key figures as tables, and as CSV and JSON that stream; Excel is `app.services.reports.workbook`'s.

Text that a spreadsheet would take for a formula is escaped: names come from people outside.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

import orjson
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.engine.calendar import BusinessDays
from app.engine.types import ExecutorId, PoolId
from app.models import Executor, ExecutorDay, KpiDay
from app.services.fairness.closed_days import DayShares, get_day_shares
from app.services.reports.figures import Counts, Figures
from app.utils.spreadsheet_text import Language, csv_text

Cell = str | int | float | date | datetime | None
_CHUNK_ROWS = 500


class Kind(StrEnum):
    """What a column holds; decides how a spreadsheet shows it."""

    TEXT = "text"
    DAY = "day"
    INSTANT = "instant"
    COUNT = "count"
    WEIGHT = "weight"
    SHARE = "share"
    SECONDS = "seconds"
    INDEX = "index"


@dataclass(frozen=True, slots=True)
class Column:
    """`key` is what programs read, the titles are what people read."""

    key: str
    kind: Kind
    en: str
    ru: str

    def title(self, language: Language) -> str:
        """The heading in a language."""
        return self.ru if language == "ru" else self.en


@dataclass(frozen=True, slots=True)
class Table:
    """Rows in the order of the columns."""

    key: str
    en: str
    ru: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]

    def title(self, language: Language) -> str:
        """The name in a language."""
        return self.ru if language == "ru" else self.en


_COUNTS = (
    Column("received", Kind.COUNT, "Received", "Поступило"),
    Column("assigned", Kind.COUNT, "Assigned", "Назначено"),
    Column("parked", Kind.COUNT, "Had to wait", "Ждали"),
    Column("completed", Kind.COUNT, "Completed", "Завершено"),
    Column("rejected", Kind.COUNT, "Rejected", "Отклонено"),
    Column("returned", Kind.COUNT, "Returned", "Возвращено"),
    Column("cancelled", Kind.COUNT, "Cancelled", "Отменено"),
    Column("reassigned", Kind.COUNT, "Reassigned", "Переназначено"),
    Column("delivered", Kind.COUNT, "Delivered", "Доставлено"),
    Column("moved_in", Kind.COUNT, "Came from other teams", "Пришло из других команд"),
    Column("moved_out", Kind.COUNT, "Went to other teams", "Ушло в другие команды"),
    Column("latency_mean", Kind.SECONDS, "Latency, mean, s", "Задержка, средняя, с"),
    Column("latency_p50", Kind.SECONDS, "Latency, p50, s", "Задержка, p50, с"),
    Column("latency_p95", Kind.SECONDS, "Latency, p95, s", "Задержка, p95, с"),
    Column("latency_p99", Kind.SECONDS, "Latency, p99, s", "Задержка, p99, с"),
    Column("wait_mean", Kind.SECONDS, "Waiting, mean, s", "Ожидание, среднее, с"),
)
_HOUR = Column("hour", Kind.INSTANT, "Hour", "Час")
_DAY = Column("business_day", Kind.DAY, "Day", "День")
_FAIRNESS = (
    Column("weight", Kind.WEIGHT, "Work", "Объём"),
    Column("mae", Kind.INDEX, "MAE", "MAE"),
    Column("mae_optimum", Kind.INDEX, "MAE of the optimum", "MAE оптимума"),
    Column("fairness_gap", Kind.SHARE, "Fairness gap", "Отклонение от справедливого"),
)
_PEOPLE = (
    Column("executor_id", Kind.COUNT, "Id", "Id"),
    Column("name", Kind.TEXT, "Executor", "Исполнитель"),
    Column("qualification", Kind.WEIGHT, "Qualification", "Квалификация"),
    Column("daily_limit", Kind.WEIGHT, "Daily limit", "Дневной лимит"),
    Column("days", Kind.COUNT, "Days with work", "Дней с работой"),
    Column("assigned", Kind.COUNT, "Tasks", "Заявок"),
    Column("received", Kind.WEIGHT, "Received", "Получено"),
    Column("fair_share", Kind.WEIGHT, "Fair share", "Справедливая доля"),
    Column("deviation", Kind.WEIGHT, "Deviation", "Отклонение"),
    Column("utilization", Kind.SHARE, "Utilization", "Загрузка"),
    Column("completed", Kind.COUNT, "Completed", "Завершено"),
    Column("rejected", Kind.COUNT, "Rejected", "Отклонено"),
    Column("returned", Kind.COUNT, "Returned", "Возвращено"),
)
_CATEGORIES = (
    Column("category", Kind.TEXT, "Kind of work", "Вид работ"),
    Column("tasks", Kind.COUNT, "Tasks", "Заявок"),
    Column("weight", Kind.WEIGHT, "Work", "Объём"),
    Column("share", Kind.SHARE, "Share", "Доля"),
)
_EXECUTOR_DAYS = (
    Column("business_day", Kind.DAY, "Day", "День"),
    Column("executor_id", Kind.COUNT, "Id", "Id"),
    Column("name", Kind.TEXT, "Executor", "Исполнитель"),
    Column("assigned", Kind.COUNT, "Tasks", "Заявок"),
    Column("received", Kind.WEIGHT, "Received", "Получено"),
    Column("fair_share", Kind.WEIGHT, "Fair share", "Справедливая доля"),
    Column("completed", Kind.COUNT, "Completed", "Завершено"),
    Column("rejected", Kind.COUNT, "Rejected", "Отклонено"),
    Column("returned", Kind.COUNT, "Returned", "Возвращено"),
)


def _counts(counts: Counts) -> tuple[Cell, ...]:
    plain = (getattr(counts, column.key) for column in _COUNTS[:11])
    shares = (counts.latency(share) for share in (0.5, 0.95, 0.99))
    return (*plain, counts.latency_mean, *shares, counts.wait_mean)


def tables_of(figures: Figures) -> list[Table]:
    """The report's tables: days, hours, executors from the highest deviation down, kinds of work."""
    days = [
        (day.day, *_counts(day.counts), day.weight, day.mae, day.mae_optimum, day.fairness_gap)
        for day in figures.days
    ]
    people = [
        (
            *(person.executor_id, person.name, person.qualification, person.daily_limit, person.days),
            *(person.assigned, person.received, person.fair, person.deviation, person.utilization),
            *(person.completed, person.rejected, person.returned),
        )
        for person in sorted(figures.people, key=lambda person: (-person.deviation, person.executor_id))
    ]
    weight = sum(each.weight for each in figures.categories) or 1.0
    kinds = [(each.name, each.tasks, each.weight, each.weight / weight) for each in figures.categories]
    hours = [(hour.start, *_counts(hour.counts)) for hour in figures.hours]
    return [
        Table("days", "Days", "Дни", (_DAY, *_COUNTS, *_FAIRNESS), days),
        Table("hours", "Hours", "Часы", (_HOUR, *_COUNTS), hours),
        Table("executors", "Executors", "Исполнители", _PEOPLE, people),
        Table("categories", "Kinds of work", "Виды работ", _CATEGORIES, kinds),
    ]


async def executor_days(
    session: AsyncSession, *, pool_id: PoolId, days: BusinessDays, first: date, last: date
) -> AsyncIterator[Table]:
    """What each executor received on each day: an empty table, then one for each day; memory holds one at a time."""
    worked = await session.scalars(
        select(ExecutorDay.business_day)
        .where(ExecutorDay.pool_id == pool_id, ExecutorDay.business_day.between(first, last))
        .distinct()
    )
    yield Table("executor_days", "Executors by day", "Исполнители по дням", _EXECUTOR_DAYS, [])
    for day in sorted(worked):
        kept = await session.get(KpiDay, (pool_id, day))
        shares = (
            DayShares.kept(kept)
            if kept
            else await get_day_shares(session, pool_id=pool_id, day=day, days=days)
        )
        rows = await session.execute(
            select(ExecutorDay, Executor.name)
            .join(Executor, Executor.id == ExecutorDay.executor_id)
            .where(ExecutorDay.pool_id == pool_id, ExecutorDay.business_day == day)
            .order_by(ExecutorDay.executor_id)
        )
        cells = [_executor_day(row, name, shares) for row, name in rows]
        yield Table("executor_days", "Executors by day", "Исполнители по дням", _EXECUTOR_DAYS, cells)
        session.expunge_all()


def _executor_day(row: ExecutorDay, name: str, shares: DayShares) -> tuple[Cell, ...]:
    fair = shares.fair.get(ExecutorId(row.executor_id), 0.0)
    counts = (row.completed_count, row.rejected_count, row.returned_count)
    return (
        *(row.business_day, row.executor_id, name, row.assigned_count),
        *(float(row.assigned_weight), fair, *counts),
    )


def csv_lines(table: Table, *, language: Language | None, header: bool = True) -> Iterator[str]:
    """The table as CSV, some rows at a time; headings are the columns' titles in the language, or else their keys."""
    if header:
        yield csv_text(
            [[column.title(language) if language else column.key for column in table.columns]], language
        )
    for start in range(0, len(table.rows), _CHUNK_ROWS):
        yield csv_text(table.rows[start : start + _CHUNK_ROWS], language, begins=False)


def json_head(figures: Figures) -> bytes:
    """How the JSON form begins: what the figures are about."""
    about = {
        "pool_id": figures.pool_id,
        "pool": figures.pool_name,
        "timezone": figures.business_days.zone.key,
        "first_day": figures.first,
        "last_day": figures.last,
    }
    return orjson.dumps(about)[:-1]


def json_rows(table: Table, *, comma: bool = False) -> Iterator[bytes]:
    """The table's rows as JSON objects with commas between, and one before the first where rows came before."""
    keys = [column.key for column in table.columns]
    for start in range(0, len(table.rows), _CHUNK_ROWS):
        rows = [dict(zip(keys, row, strict=True)) for row in table.rows[start : start + _CHUNK_ROWS]]
        inside = orjson.dumps(rows)[1:-1]
        yield b"," + inside if comma or start else inside
