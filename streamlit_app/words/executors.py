"""Texts of the executors' page."""

WORDS: dict[str, tuple[str, str]] = {
    "title": ("Исполнители", "Executors"),
    "find": ("Найти по имени или навыку", "Find by name or skill"),
    "show_inactive": ("Вместе с ушедшими", "Include those who left"),
    "here": ("На месте", "Available"),
    "here_of": (
        "из {n} исполнителя|из {n} исполнителей|из {n} исполнителей",
        "of {n} executor|of {n} executors",
    ),
    "at_limit": ("У дневного предела", "At the daily limit"),
    "open_total": ("Открыто заявок", "Open tasks"),
    "furthest": ("Дальше всех от доли", "Furthest from fair share"),
    "availability": ("Где", "Presence"),
    "load": ("Получено сегодня", "Received today"),
    "limit": ("Дневной предел", "Daily limit"),
    "used": ("Загрузка", "Limit used"),
    "open": ("Открыто", "Open"),
    "max_open": ("Открыто не больше", "Open limit"),
    "fair": ("Справедливо", "Fair"),
    "deviation": ("Отклонение", "Deviation"),
    "qualification": ("Квалификация", "Qualification"),
    "qualification_help": (
        "Доля работы относительно других: 2 — вдвое больше, чем у того, у кого 1",
        "Share of work relative to others: 2 gets twice as much as 1",
    ),
    "hours": ("Часы", "Hours"),
    "always": ("всегда", "always"),
    "by_schedule": ("по графику", "by schedule"),
    "parameters": ("Навыки и параметры", "Skills and parameters"),
    "left": ("ушёл", "left"),
    "empty_title": ("В команде пока никого", "Nobody in the team yet"),
    "empty_text": (
        "Добавьте человека кнопкой выше или загрузите список из файла (CSV, XLSX).",
        "Add a person with the button above or import a list from a file (CSV, XLSX).",
    ),
    "nobody_found": ("Никто не найден. Сократите запрос.", "Nobody found. Try a shorter search."),
    "add": ("Добавить", "Add"),
    "import": ("Загрузить список", "Import a list"),
    "new": ("Новый исполнитель", "New executor"),
    "created": ("{name}: добавлен", "{name}: added"),
    "name": ("Имя", "Name"),
    "name_missing": ("Назовите имя.", "Enter a name."),
    "external_id": ("Внешний номер", "External number"),
    "unlimited": ("пусто — без предела", "empty: no limit"),
    "card_open": ("Открытые заявки", "Open tasks"),
    "history": ("Последние заявки", "Latest tasks"),
    "no_tasks": ("Заявок ещё не было.", "No tasks yet."),
    "edit": ("Изменить", "Edit"),
    "state_now": ("Сейчас", "Now"),
    "changed": ("{name}: изменено", "{name}: changed"),
    "leaving_plan": (
        (
            "Перейдёт к другим: {n} заявка; будет ждать: {waiting}.|"
            "Перейдут к другим: {n} заявки; будет ждать: {waiting}.|"
            "Перейдут к другим: {n} заявок; будет ждать: {waiting}."
        ),
        "{n} task would go to others; {waiting} would wait.|{n} tasks would go to others; {waiting} would wait.",
    ),
    "leaving_to": ("Кому перейдёт", "Who would get it"),
    "leaving_nobody": ("пока никому: будет ждать", "nobody for now: it would wait"),
    "deactivate": ("Ушёл из команды", "Left the team"),
    "deactivate_text": (
        "Новых заявок не получит; история и открытые заявки останутся. Вернуть можно в любой момент.",
        "They get no new tasks; history and open tasks stay. You can bring them back at any time.",
    ),
    "activate": ("Вернуть в команду", "Bring back into the team"),
    "schedule": ("Рабочие часы", "Working hours"),
    "schedule_text": (
        "Интервалы через запятую, например `09:00-13:00, 14:00-18:00`. Пустой день — выходной. Время — по поясу команды.",
        "Comma-separated intervals such as `09:00-13:00, 14:00-18:00`. Leave a day empty if it is off. Times are in the team's zone.",
    ),
    "schedule_always": ("Без графика: всегда на смене", "No schedule: always on shift"),
    "schedule_wrong": (
        "{day}: «{text}» — не интервалы вида 09:00-18:00.",
        "{day}: “{text}” is not a list of intervals such as 09:00-18:00.",
    ),
    "days_off": ("Выходные даты (ГГГГ-ММ-ДД через запятую)", "Days off (YYYY-MM-DD, comma-separated)"),
    "day": ("День", "Day"),
    "intervals": ("Часы", "Hours"),
    "day.mon": ("понедельник", "Monday"),
    "day.tue": ("вторник", "Tuesday"),
    "day.wed": ("среда", "Wednesday"),
    "day.thu": ("четверг", "Thursday"),
    "day.fri": ("пятница", "Friday"),
    "day.sat": ("суббота", "Saturday"),
    "day.sun": ("воскресенье", "Sunday"),
    "absences": ("Отсутствия", "Absences"),
    "absence_add": ("Запланировать отсутствие", "Plan an absence"),
    "absence_from": ("С", "From"),
    "absence_to": ("По", "To"),
    "absence_reason": ("Причина", "Reason"),
    "absence_open": ("Открытые заявки", "Open tasks"),
    "absence_open.keep": ("остаются у исполнителя", "stay with the executor"),
    "absence_open.reassign": ("передать другим", "pass to others"),
    "absence_after": ("через, минут", "after, minutes"),
    "absence_added": ("Отсутствие запланировано", "Absence planned"),
    "absence_removed": ("Отсутствие отменено", "Absence cancelled"),
    "no_absences": ("Отсутствий не запланировано.", "No absences planned."),
    "in_team": ("Работает", "Active"),
    "file": ("Файл CSV или XLSX", "CSV or XLSX file"),
    "file_text": (
        (
            "Первая строка — названия столбцов: {columns} (или их ключи, или названия на другом языке). "
            "Несколько значений в ячейке — через запятую. Человек с уже известным номером обновляется, остальные "
            "добавляются; пустая ячейка ничего не меняет."
        ),
        (
            "The first row names the columns: {columns} (or their keys, or their labels in the other language). Separate "
            "several values in a cell with commas. People with a known number are updated, others are added; empty "
            "cells change nothing."
        ),
    ),
    "file_template": ("Образец {form}", "Template {form}"),
    "file_empty": ("В файле нет строк с данными.", "The file has no data rows."),
    "file_columns": ("Как прочитаны столбцы", "How the columns are read"),
    "file_heading": ("Столбец", "Column"),
    "file_field": ("Что это", "What it is"),
    "file_read_as": ("Вид", "Form"),
    "file_example": ("Первая ячейка", "First cell"),
    "file_reading": ("Файл прочитан не так?", "Read in a wrong way?"),
    "file_sheet": ("Лист", "Sheet"),
    "file_sheet_help": (
        "Название листа или его номер с 1. Пусто: первый лист, на котором есть люди.",
        "Name of the sheet, or its number from 1. Empty: the first one that has people.",
    ),
    "file_encoding": ("Кодировка", "Encoding"),
    "file_dates": ("Вид дат", "Format of dates"),
    "file_dates_help": (
        "Один на все столбцы с датами. d — день, m — месяц, y — год; iso — 2026-12-31.",
        "One for all columns of dates. d is the day, m the month, y the year; iso is 2026-12-31.",
    ),
    "file_heading_row": ("Строка с названиями столбцов", "Row of the headings"),
    "file_heading_row_help": (
        "Номер строки с 1; 0 — найти самим.",
        "Number of the row from 1; 0: found out.",
    ),
    "file_found_out": ("определить", "find out"),
    "form.text": ("текст", "text"),
    "form.string": ("текст", "text"),
    "form.number": ("число", "number"),
    "form.boolean": ("да или нет", "yes or no"),
    "form.list": ("список", "list"),
    "form.enum": ("значение из списка", "one of a list"),
    "form.datetime": ("время", "time"),
    "form.working hours": ("рабочие часы", "working hours"),
    "form.availability": ("присутствие", "availability"),
    "form.part of the name": ("часть имени", "part of the name"),
    "form.percent": (", 100 % — это 1", ", 100% is 1"),
    "file_unknown": (
        "Каталог не знает столбцов: {columns}. Значения сохранятся, но правила их не читают: сначала заведите параметры.",
        "These columns are not in the catalogue: {columns}. Their values are kept, but rules cannot read them: add parameters first.",
    ),
    "row": ("Строка", "Row"),
    "what": ("Что будет", "What will happen"),
    "what.added": ("добавится", "will be added"),
    "what.changed": ("изменится: {fields}", "will change: {fields}"),
    "what.unchanged": ("без изменений", "no changes"),
    "what.wrong": ("ошибка, {column}: {why}", "error, {column}: {why}"),
    "import_counts": (
        "Добавится: {added} · изменится: {changed} · без изменений: {unchanged}",
        "To add: {added} · to change: {changed} · unchanged: {unchanged}",
    ),
    "import_do": (
        "Загрузить {n} человека|Загрузить {n} человека|Загрузить {n} человек",
        "Import {n} person|Import {n} people",
    ),
    "import_wrong": (
        (
            "Исправьте {n} строку с ошибкой в файле: список загружается целиком или никак.|"
            "Исправьте {n} строки с ошибкой в файле: список загружается целиком или никак.|"
            "Исправьте {n} строк с ошибкой в файле: список загружается целиком или никак."
        ),
        (
            "Fix {n} row with errors in the file: the list is imported as a whole or not at all.|"
            "Fix {n} rows with errors in the file: the list is imported as a whole or not at all."
        ),
    ),
    "imported": ("Добавлено: {added}, изменено: {changed}", "Added: {added}, changed: {changed}"),
    "hint": (
        "Щёлкните по строке, чтобы открыть страницу человека.",
        "Click a row to open the person's page.",
    ),
}
