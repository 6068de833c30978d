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
from app.models import ExecutorDay, ExecutorRow, KpiDay
from app.services.fairness.closed_days import DayShares, get_day_shares
from app.services.reports.figures import Counts, Kpi
from app.utils.spreadsheet_text import Language, csv_text

Cell = str | int | float | date | datetime | None
_CHUNK_ROWS = 500


class ColumnKind(StrEnum):
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
class ExportColumn:
    """`key` is what programs read, the titles are what people read."""

    key: str
    kind: ColumnKind
    en: str
    ru: str

    def title(self, language: Language) -> str:
        """The heading in a language."""
        return self.ru if language == "ru" else self.en


@dataclass(frozen=True, slots=True)
class ExportTable:
    """Rows in the order of the columns."""

    key: str
    en: str
    ru: str
    columns: Sequence[ExportColumn]
    rows: Sequence[Sequence[Cell]]

    def title(self, language: Language) -> str:
        """The name in a language."""
        return self.ru if language == "ru" else self.en


_COUNTS = (
    ExportColumn("received", ColumnKind.COUNT, "Received", "Поступило"),
    ExportColumn("assigned", ColumnKind.COUNT, "Assigned", "Назначено"),
    ExportColumn("parked", ColumnKind.COUNT, "Had to wait", "Ждали"),
    ExportColumn("completed", ColumnKind.COUNT, "Completed", "Завершено"),
    ExportColumn("rejected", ColumnKind.COUNT, "Rejected", "Отклонено"),
    ExportColumn("returned", ColumnKind.COUNT, "Returned", "Возвращено"),
    ExportColumn("cancelled", ColumnKind.COUNT, "Cancelled", "Отменено"),
    ExportColumn("reassigned", ColumnKind.COUNT, "Reassigned", "Переназначено"),
    ExportColumn("delivered", ColumnKind.COUNT, "Delivered", "Доставлено"),
    ExportColumn("moved_in", ColumnKind.COUNT, "Came from other teams", "Пришло из других команд"),
    ExportColumn("moved_out", ColumnKind.COUNT, "Went to other teams", "Ушло в другие команды"),
    ExportColumn("latency_mean", ColumnKind.SECONDS, "Latency, mean, s", "Задержка, средняя, с"),
    ExportColumn("latency_p50", ColumnKind.SECONDS, "Latency, p50, s", "Задержка, p50, с"),
    ExportColumn("latency_p95", ColumnKind.SECONDS, "Latency, p95, s", "Задержка, p95, с"),
    ExportColumn("latency_p99", ColumnKind.SECONDS, "Latency, p99, s", "Задержка, p99, с"),
    ExportColumn("wait_mean", ColumnKind.SECONDS, "Waiting, mean, s", "Ожидание, среднее, с"),
)
_HOUR = ExportColumn("hour", ColumnKind.INSTANT, "Hour", "Час")
_DAY = ExportColumn("business_day", ColumnKind.DAY, "Day", "День")
_FAIRNESS = (
    ExportColumn("weight", ColumnKind.WEIGHT, "Work", "Объём"),
    ExportColumn("mae", ColumnKind.INDEX, "MAE", "MAE"),
    ExportColumn("mae_optimum", ColumnKind.INDEX, "MAE of the optimum", "MAE оптимума"),
    ExportColumn("fairness_gap", ColumnKind.SHARE, "Fairness gap", "Отклонение от справедливого"),
)
_PEOPLE = (
    ExportColumn("executor_id", ColumnKind.COUNT, "Id", "Id"),
    ExportColumn("name", ColumnKind.TEXT, "Executor", "Исполнитель"),
    ExportColumn("qualification", ColumnKind.WEIGHT, "Qualification", "Квалификация"),
    ExportColumn("daily_limit", ColumnKind.WEIGHT, "Daily limit", "Дневной лимит"),
    ExportColumn("days", ColumnKind.COUNT, "Days with work", "Дней с работой"),
    ExportColumn("assigned", ColumnKind.COUNT, "Tasks", "Заявок"),
    ExportColumn("received", ColumnKind.WEIGHT, "Received", "Получено"),
    ExportColumn("fair_share", ColumnKind.WEIGHT, "Fair share", "Справедливая доля"),
    ExportColumn("deviation", ColumnKind.WEIGHT, "Deviation", "Отклонение"),
    ExportColumn("utilization", ColumnKind.SHARE, "Utilization", "Загрузка"),
    ExportColumn("completed", ColumnKind.COUNT, "Completed", "Завершено"),
    ExportColumn("rejected", ColumnKind.COUNT, "Rejected", "Отклонено"),
    ExportColumn("returned", ColumnKind.COUNT, "Returned", "Возвращено"),
)
_CATEGORIES = (
    ExportColumn("category", ColumnKind.TEXT, "Kind of work", "Вид работ"),
    ExportColumn("tasks", ColumnKind.COUNT, "Tasks", "Заявок"),
    ExportColumn("weight", ColumnKind.WEIGHT, "Work", "Объём"),
    ExportColumn("share", ColumnKind.SHARE, "Share", "Доля"),
)
_EXECUTOR_DAYS = (
    ExportColumn("business_day", ColumnKind.DAY, "Day", "День"),
    ExportColumn("executor_id", ColumnKind.COUNT, "Id", "Id"),
    ExportColumn("name", ColumnKind.TEXT, "Executor", "Исполнитель"),
    ExportColumn("assigned", ColumnKind.COUNT, "Tasks", "Заявок"),
    ExportColumn("received", ColumnKind.WEIGHT, "Received", "Получено"),
    ExportColumn("fair_share", ColumnKind.WEIGHT, "Fair share", "Справедливая доля"),
    ExportColumn("completed", ColumnKind.COUNT, "Completed", "Завершено"),
    ExportColumn("rejected", ColumnKind.COUNT, "Rejected", "Отклонено"),
    ExportColumn("returned", ColumnKind.COUNT, "Returned", "Возвращено"),
)


def _counts(counts: Counts) -> tuple[Cell, ...]:
    plain = (getattr(counts, column.key) for column in _COUNTS[:11])
    shares = (counts.latency(share) for share in (0.5, 0.95, 0.99))
    return (*plain, counts.latency_mean, *shares, counts.wait_mean)


def tables_of(figures: Kpi) -> list[ExportTable]:
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
        ExportTable("days", "Days", "Дни", (_DAY, *_COUNTS, *_FAIRNESS), days),
        ExportTable("hours", "Hours", "Часы", (_HOUR, *_COUNTS), hours),
        ExportTable("executors", "Executors", "Исполнители", _PEOPLE, people),
        ExportTable("categories", "Kinds of work", "Виды работ", _CATEGORIES, kinds),
    ]


async def executor_days(
    session: AsyncSession, *, pool_id: PoolId, days: BusinessDays, first: date, last: date
) -> AsyncIterator[ExportTable]:
    """What each executor received on each day: an empty table, then one for each day; memory holds one at a time."""
    worked = await session.scalars(
        select(ExecutorDay.business_day)
        .where(ExecutorDay.pool_id == pool_id, ExecutorDay.business_day.between(first, last))
        .distinct()
    )
    yield ExportTable("executor_days", "Executors by day", "Исполнители по дням", _EXECUTOR_DAYS, [])
    for day in sorted(worked):
        kept = await session.get(KpiDay, (pool_id, day))
        shares = (
            DayShares.kept(kept)
            if kept
            else await get_day_shares(session, pool_id=pool_id, day=day, days=days)
        )
        rows = await session.execute(
            select(ExecutorDay, ExecutorRow.name)
            .join(ExecutorRow, ExecutorRow.id == ExecutorDay.executor_id)
            .where(ExecutorDay.pool_id == pool_id, ExecutorDay.business_day == day)
            .order_by(ExecutorDay.executor_id)
        )
        cells = [_executor_day(row, name, shares) for row, name in rows]
        yield ExportTable("executor_days", "Executors by day", "Исполнители по дням", _EXECUTOR_DAYS, cells)
        session.expunge_all()


def _executor_day(row: ExecutorDay, name: str, shares: DayShares) -> tuple[Cell, ...]:
    fair = shares.fair.get(ExecutorId(row.executor_id), 0.0)
    counts = (row.completed_count, row.rejected_count, row.returned_count)
    return (
        *(row.business_day, row.executor_id, name, row.assigned_count),
        *(float(row.assigned_weight), fair, *counts),
    )


def csv_lines(table: ExportTable, *, language: Language | None, header: bool = True) -> Iterator[str]:
    """The table as CSV, some rows at a time; headings are the columns' titles in the language, or else their keys."""
    if header:
        yield csv_text(
            [[column.title(language) if language else column.key for column in table.columns]], language
        )
    for start in range(0, len(table.rows), _CHUNK_ROWS):
        yield csv_text(table.rows[start : start + _CHUNK_ROWS], language, begins=False)


def json_head(figures: Kpi) -> bytes:
    """How the JSON form begins: what the figures are about."""
    about = {
        "pool_id": figures.pool_id,
        "pool": figures.pool_name,
        "timezone": figures.business_days.zone.key,
        "first_day": figures.first,
        "last_day": figures.last,
    }
    return orjson.dumps(about)[:-1]


def json_rows(table: ExportTable, *, comma: bool = False) -> Iterator[bytes]:
    """The table's rows as JSON objects with commas between, and one before the first where rows came before."""
    keys = [column.key for column in table.columns]
    for start in range(0, len(table.rows), _CHUNK_ROWS):
        rows = [dict(zip(keys, row, strict=True)) for row in table.rows[start : start + _CHUNK_ROWS]]
        inside = orjson.dumps(rows)[1:-1]
        yield b"," + inside if comma or start else inside
