"""The Excel form of the key figures: a sheet for each table, native charts that stay editable, nothing that runs."""

import re
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import xlsxwriter
from xlsxwriter.chart import Chart
from xlsxwriter.format import Format
from xlsxwriter.workbook import Workbook
from xlsxwriter.worksheet import Worksheet

from app.services.reports.exports import Cell, ColumnKind, ExportColumn, ExportTable, tables_of
from app.services.reports.figures import Kpi
from app.utils.spreadsheet_text import Language, harmless

SHOWN_PEOPLE = 40
"""Bars that a chart of people has; with more people it shows those furthest above and below their fair share."""
_SHOWN_KINDS = 15
_WIDTHS = {ColumnKind.TEXT: 28, ColumnKind.INSTANT: 17, ColumnKind.DAY: 12}
_FORMATS = {
    ColumnKind.TEXT: {},
    ColumnKind.DAY: {"num_format": "yyyy-mm-dd", "align": "left"},
    ColumnKind.INSTANT: {"num_format": "yyyy-mm-dd hh:mm", "align": "left"},
    ColumnKind.COUNT: {"num_format": "#,##0"},
    ColumnKind.WEIGHT: {"num_format": "#,##0.00"},
    ColumnKind.SHARE: {"num_format": "0.0%"},
    ColumnKind.SECONDS: {"num_format": "#,##0.000"},
    ColumnKind.INDEX: {"num_format": "0.000"},
}
_BLUE, _ORANGE, _GREEN, _GRID = "#2563EB", "#F59E0B", "#059669", "#E5E7EB"
_BELOW_CHARTS = 50
_UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_NOTE_EN = """\
Fair share: the most even distribution that rules, limits and presence allow. Deviation: received less the fair share. \
Where specialists exist even the fair optimum has an MAE: compare the two."""
_NOTE_RU = """\
Справедливая доля: самое ровное распределение, какое допускают правила, лимиты и присутствие. Отклонение: полученное \
минус справедливая доля. Где есть узкие специалисты, MAE не равен нулю и в оптимуме: сравнивайте оба."""
_WORDS = {
    "summary": ("Summary", "Сводка"),
    "charts": ("Charts", "Графики"),
    "title": ("Key figures", "Ключевые показатели"),
    "pool": ("Pool", "Пул"),
    "period": ("Period", "Период"),
    "zone": ("Time zone", "Часовой пояс"),
    "received": ("Tasks received", "Поступило заявок"),
    "assigned": ("Assignments", "Назначений"),
    "completed": ("Completed", "Завершено"),
    "parked": ("Had to wait", "Ждали исполнителя"),
    "p50": ("Latency, p50, s", "Задержка назначения, p50, с"),
    "p99": ("Latency, p99, s", "Задержка назначения, p99, с"),
    "gap": ("Fairness gap, last day", "Отклонение от справедливого, последний день"),
    "mae": ("MAE, last day", "MAE, последний день"),
    "optimum": ("MAE of the fair optimum, last day", "MAE справедливого оптимума, последний день"),
    "note": (_NOTE_EN, _NOTE_RU),
    "flow": ("Arrivals and assignments", "Поступление и назначения"),
    "people": ("Executor", "Исполнитель"),
    "utilization": ("Utilization", "Загрузка"),
    "deviation": ("Deviation from the fair share", "Отклонение от справедливой доли"),
    "kinds": ("Work by kind", "Объём по видам работ"),
}


def write_workbook(path: Path, figures: Kpi, language: Language) -> None:
    """Write the report to a file; rows go to disk as they are written. Takes seconds for 10,000 people."""
    options = {
        "constant_memory": True,
        "remove_timezone": True,
        "strings_to_formulas": False,
        "strings_to_urls": False,
    }
    with xlsxwriter.Workbook(str(path), options) as workbook:
        _Report(workbook, figures, language).write()


class _Report:
    def __init__(self, workbook: Workbook, figures: Kpi, language: Language) -> None:
        self._book, self._figures, self._language = workbook, figures, language
        self._tables = {table.key: table for table in tables_of(figures)}
        self._formats = {kind: workbook.add_format(look) for kind, look in _FORMATS.items()}
        self._quoted = workbook.add_format({"quote_prefix": True})
        self._header = workbook.add_format(
            {"bold": True, "bg_color": "#E5E7EB", "text_wrap": True, "valign": "top", "bottom": 1}
        )
        self._title = workbook.add_format({"bold": True, "font_size": 16})
        self._bold = workbook.add_format({"bold": True})
        self._wrapped = workbook.add_format({"text_wrap": True, "valign": "top", "font_color": "#4B5563"})

    def write(self) -> None:
        self._book.set_properties({"title": self._say("title"), "comments": self._figures.pool_name})
        summary = self._book.add_worksheet(self._say("summary"))
        charts = self._book.add_worksheet(self._say("charts"))
        sheets = {
            key: self._book.add_worksheet(table.title(self._language)) for key, table in self._tables.items()
        }
        self._write_summary(summary)
        for key, sheet in sheets.items():
            self._write_table(sheet, self._tables[key])
        self._write_charts(charts)

    def _say(self, key: str) -> str:
        return _WORDS[key][self._language == "ru"]

    def _write_summary(self, sheet: Worksheet) -> None:
        figures, total = self._figures, self._figures.total
        last = figures.days[-1] if figures.days else None
        sheet.set_column(0, 0, 46)
        sheet.set_column(1, 1, 40)
        sheet.set_landscape()
        sheet.write_string(0, 0, self._say("title"), self._title)
        lines: list[tuple[str, Cell, ColumnKind]] = [
            ("pool", figures.pool_name, ColumnKind.TEXT),
            ("period", f"{figures.first.isoformat()} — {figures.last.isoformat()}", ColumnKind.TEXT),
            ("zone", figures.business_days.zone.key, ColumnKind.TEXT),
            ("received", total.received, ColumnKind.COUNT),
            ("assigned", total.assigned, ColumnKind.COUNT),
            ("completed", total.completed, ColumnKind.COUNT),
            ("parked", total.parked, ColumnKind.COUNT),
            ("p50", total.latency(0.5), ColumnKind.SECONDS),
            ("p99", total.latency(0.99), ColumnKind.SECONDS),
            ("gap", last.fairness_gap if last else None, ColumnKind.SHARE),
            ("mae", last.mae if last else None, ColumnKind.INDEX),
            ("optimum", last.mae_optimum if last else None, ColumnKind.INDEX),
        ]
        for row, (key, value, kind) in enumerate(lines, start=2):
            sheet.write_string(row, 0, self._say(key), self._bold)
            self._write_cell(sheet, row, 1, value, kind, align_left=True)
        sheet.set_row(len(lines) + 3, 80)
        sheet.merge_range(len(lines) + 3, 0, len(lines) + 3, 1, self._say("note"), self._wrapped)

    def _write_table(self, sheet: Worksheet, table: ExportTable) -> None:
        sheet.set_landscape()
        sheet.fit_to_pages(1, 0)
        sheet.repeat_rows(0)
        text = [index for index, column in enumerate(table.columns) if column.kind in _WIDTHS]
        sheet.freeze_panes(1, max(text, default=-1) + 1)
        sheet.set_row(0, 32)
        for index, column in enumerate(table.columns):
            sheet.set_column(index, index, _WIDTHS.get(column.kind, 13), self._formats[column.kind])
        sheet.autofilter(0, 0, max(1, len(table.rows)), len(table.columns) - 1)
        self._highlight(sheet, table)
        for index, column in enumerate(table.columns):
            sheet.write_string(0, index, column.title(self._language), self._header)
        for number, row in enumerate(table.rows, start=1):
            for index, (cell, column) in enumerate(zip(row, table.columns, strict=True)):
                self._write_cell(sheet, number, index, cell, column.kind)

    def _highlight(self, sheet: Worksheet, table: ExportTable) -> None:
        keys = [column.key for column in table.columns]
        if "deviation" in keys and table.rows:
            column = keys.index("deviation")
            scale = {
                "type": "3_color_scale",
                "mid_type": "num",
                "mid_value": 0,
                "min_color": "#93C5FD",
                "mid_color": "#FFFFFF",
                "max_color": "#FCD34D",
            }
            sheet.conditional_format(1, column, len(table.rows), column, scale)

    def _write_cell(
        self,
        sheet: Worksheet,
        row: int,
        column: int,
        cell: Cell,
        kind: ColumnKind,
        *,
        align_left: bool = False,
    ) -> None:
        look: Format = self._formats[kind]
        if align_left:
            look = self._book.add_format({**_FORMATS[kind], "align": "left"})
        if cell is None:
            sheet.write_blank(row, column, None, look)
        elif isinstance(cell, str):
            text = _UNWRITABLE.sub("\ufffd", cell)[:32_767]
            sheet.write_string(row, column, text, self._quoted if harmless(text) != text else look)
        elif isinstance(cell, datetime | date):
            sheet.write_datetime(row, column, cell, look)
        else:
            sheet.write_number(row, column, cell, look)

    def _write_charts(self, sheet: Worksheet) -> None:
        sheet.hide_gridlines(2)
        sheet.set_landscape()
        sheet.fit_to_pages(1, 0)
        sheet.set_column(0, 0, 28)
        flow, people, kinds = self._flow(), self._people_shown(sheet), self._kinds()
        charts = [
            self._lines(flow, ("received", _BLUE), ("assigned", _ORANGE), ("completed", _GREEN)),
            self._bars(people, "utilization", self._say("utilization"), _BLUE),
            self._bars(people, "deviation", self._say("deviation"), _ORANGE),
            self._bars(kinds, "weight", self._say("kinds"), _GREEN),
        ]
        for chart, place in zip(charts, ("A1", "I1", "A25", "I25"), strict=True):
            if chart is not None:
                chart.set_size({"width": 640, "height": 460})
                sheet.insert_chart(place, chart)

    def _flow(self) -> "_Range":
        """Days, or the hours of a single day."""
        table = self._tables["days" if len(self._figures.days) > 1 else "hours"]
        return _Range(table, table.title(self._language), 1, len(table.rows))

    def _kinds(self) -> "_Range":
        table = self._tables["categories"]
        return _Range(table, table.title(self._language), 1, min(_SHOWN_KINDS, len(table.rows)))

    def _people_shown(self, sheet: Worksheet) -> "_Range":
        """All people, from their own sheet; of many only both ends, written under the charts to be read from there."""
        table = self._tables["executors"]
        if len(table.rows) <= SHOWN_PEOPLE:
            return _Range(table, table.title(self._language), 1, len(table.rows))
        half = SHOWN_PEOPLE // 2
        keys = ("name", "utilization", "deviation")
        at = [[column.key for column in table.columns].index(key) for key in keys]
        rows = [[row[index] for index in at] for row in (*table.rows[:half], *table.rows[-half:])]
        shown = ExportTable("shown", table.en, table.ru, [table.columns[index] for index in at], rows)
        for index, column in enumerate(shown.columns):
            sheet.write_string(_BELOW_CHARTS, index, column.title(self._language), self._header)
        for number, row in enumerate(rows, start=_BELOW_CHARTS + 1):
            for index, (cell, column) in enumerate(zip(row, shown.columns, strict=True)):
                self._write_cell(sheet, number, index, cell, column.kind)
        return _Range(shown, self._say("charts"), _BELOW_CHARTS + 1, _BELOW_CHARTS + len(rows))

    def _lines(self, source: "_Range", *series: tuple[str, str]) -> Chart | None:
        if not source.rows:
            return None
        chart = self._chart({"type": "line"}, self._say("flow"))
        for key, color in series:
            chart.add_series(
                {
                    "name": source.column(key).title(self._language),
                    "categories": source.cells(source.table.columns[0].key),
                    "values": source.cells(key),
                    "line": {"color": color, "width": 2},
                    "marker": {
                        "type": "circle",
                        "size": 4,
                        "fill": {"color": color},
                        "border": {"none": True},
                    },
                }
            )
        shown = "dd.mm" if source.table.key == "days" else "hh:mm"
        chart.set_x_axis({"num_format": shown, "text_axis": True})
        chart.set_y_axis(
            {"num_format": "#,##0", "major_gridlines": {"visible": True, "line": {"color": _GRID}}}
        )
        chart.set_legend({"position": "bottom"})
        return chart

    def _bars(self, source: "_Range", key: str, title: str, color: str) -> Chart | None:
        if not source.rows:
            return None
        chart = self._chart({"type": "bar"}, title)
        chart.add_series(
            {
                "name": title,
                "categories": source.cells("category" if key == "weight" else "name"),
                "values": source.cells(key),
                "fill": {"color": color},
                "invert_if_negative": key == "deviation",
                "invert_if_negative_color": _BLUE,
                "gap": 40,
            }
        )
        chart.set_legend({"none": True})
        chart.set_y_axis({"reverse": True, "label_position": "low", "num_font": {"size": 8}})
        look = {"utilization": "0%", "deviation": "0.0"}.get(key, "#,##0")
        grid = {"visible": True, "line": {"color": _GRID}}
        least = {} if key == "deviation" else {"min": 0}
        # The names run downwards, which turns the scale's side too: "high" is below.
        chart.set_x_axis({"num_format": look, "major_gridlines": grid, "label_position": "high"} | least)
        return chart

    def _chart(self, kind: dict[str, str], title: str) -> Chart:
        chart: Chart = self._book.add_chart(kind)
        chart.set_title({"name": title, "name_font": {"size": 12}})
        return chart


@dataclass(frozen=True, slots=True)
class _Range:
    """Rows of a table as they stand in a sheet, the first row having number 0."""

    table: ExportTable
    sheet: str
    first: int
    last: int

    @property
    def rows(self) -> int:
        return self.last - self.first + 1

    def column(self, key: str) -> ExportColumn:
        return next(column for column in self.table.columns if column.key == key)

    def cells(self, key: str) -> list[str | int]:
        index = [column.key for column in self.table.columns].index(key)
        return [self.sheet, self.first, index, self.last, index]
