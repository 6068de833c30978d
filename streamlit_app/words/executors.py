"""Texts of the executors' page."""

WORDS: dict[str, tuple[str, str]] = {
    "title": ("Исполнители", "Executors"),
    "find": ("Найти по имени или навыку", "Find by name or skill"),
    "show_inactive": ("и ушедших", "and those who left"),
    "here": ("На месте", "Here"),
    "here_of": (
        "из {n} исполнителя|из {n} исполнителей|из {n} исполнителей",
        "of {n} executor|of {n} executors",
    ),
    "at_limit": ("У дневного предела", "At the daily limit"),
    "open_total": ("Открыто заявок", "Open tasks"),
    "furthest": ("Дальше всех от доли", "Furthest from their share"),
    "availability": ("Где", "Where"),
    "load": ("Получено сегодня", "Received today"),
    "limit": ("Дневной предел", "Daily limit"),
    "used": ("Загрузка", "Used"),
    "open": ("Открыто", "Open"),
    "max_open": ("Открыто не больше", "Open at most"),
    "fair": ("Справедливо", "Fair"),
    "deviation": ("Отклонение", "Deviation"),
    "qualification": ("Квалификация", "Qualification"),
    "qualification_help": (
        "Доля работы относительно других: 2 — вдвое больше, чем у того, у кого 1",
        "Share of work relative to others: 2 gets twice what 1 gets",
    ),
    "hours": ("Часы", "Hours"),
    "always": ("всегда", "always"),
    "by_schedule": ("по графику", "by schedule"),
    "parameters": ("Навыки и параметры", "Skills and parameters"),
    "left": ("ушёл", "left"),
    "empty_title": ("В команде пока никого", "Nobody is in the team yet"),
    "empty_text": (
        "Добавьте человека кнопкой выше или загрузите список из файла (CSV, XLSX).",
        "Add a person with the button above, or load a list from a file (CSV, XLSX).",
    ),
    "nobody_found": ("Никто не найден. Сократите запрос.", "Nobody is found. Shorten the search."),
    "add": ("Добавить", "Add"),
    "import": ("Загрузить список", "Load a list"),
    "new": ("Новый исполнитель", "New executor"),
    "created": ("{name}: добавлен", "{name}: added"),
    "name": ("Имя", "Name"),
    "name_missing": ("Назовите имя.", "Give a name."),
    "external_id": ("Номер в вашей системе", "Your own number"),
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
        "{n} task goes to others; {waiting} would wait.|{n} tasks go to others; {waiting} would wait.",
    ),
    "leaving_to": ("Кому перейдёт", "Who would get it"),
    "leaving_nobody": ("пока никому: будет ждать", "nobody for now: it would wait"),
    "deactivate": ("Ушёл из команды", "Left the team"),
    "deactivate_text": (
        "Новых заявок не получит; история и открытые заявки останутся. Вернуть можно в любой момент.",
        "Receives nothing new; history and open tasks stay. Can be taken back at any time.",
    ),
    "activate": ("Вернуть в команду", "Take back into the team"),
    "schedule": ("Рабочие часы", "Working hours"),
    "schedule_text": (
        "Интервалы через запятую, например `09:00-13:00, 14:00-18:00`. Пустой день — выходной. Время — по поясу команды.",
        "Intervals with commas between, such as `09:00-13:00, 14:00-18:00`. An empty day is off. Times are in the team's zone.",
    ),
    "schedule_always": ("Без графика: всегда на смене", "No schedule: always on shift"),
    "schedule_wrong": (
        "{day}: «{text}» — не интервалы вида 09:00-18:00.",
        "{day}: “{text}” are no intervals such as 09:00-18:00.",
    ),
    "days_off": ("Выходные даты (ГГГГ-ММ-ДД через запятую)", "Days off (YYYY-MM-DD, commas between)"),
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
    "absence_open.reassign": ("передать другим", "go to others"),
    "absence_after": ("через, минут", "after, minutes"),
    "absence_added": ("Отсутствие запланировано", "The absence is planned"),
    "absence_removed": ("Отсутствие отменено", "The absence is cancelled"),
    "no_absences": ("Отсутствий не запланировано.", "No absences are planned."),
    "in_team": ("Работает", "Active"),
    "file": ("Файл CSV или XLSX", "CSV or XLSX file"),
    "file_text": (
        (
            "Первая строка — названия столбцов: {columns} (или их ключи, или названия на другом языке). "
            "Несколько значений в ячейке — через запятую. Человек с уже известным номером обновляется, остальные "
            "добавляются; пустая ячейка ничего не меняет."
        ),
        (
            "The first row names the columns: {columns} (or their keys, or their labels in the other language). Several "
            "values in a cell are separated by commas. Whoever has a known number is changed, the others are added; an "
            "empty cell changes nothing."
        ),
    ),
    "file_template": ("Образец {form}", "Template {form}"),
    "file_empty": ("В файле нет строк с данными.", "The file has no rows of data."),
    "file_unknown": (
        "Каталог не знает столбцов: {columns}. Значения сохранятся, но правила их не читают: сначала заведите параметры.",
        "The catalogue does not know these columns: {columns}. Their values are kept, but no rule reads them: add parameters first.",
    ),
    "row": ("Строка", "Row"),
    "what": ("Что будет", "What will happen"),
    "what.added": ("добавится", "is added"),
    "what.changed": ("изменится: {fields}", "changes: {fields}"),
    "what.unchanged": ("без изменений", "stays as it is"),
    "what.wrong": ("ошибка, {column}: {why}", "wrong, {column}: {why}"),
    "import_counts": (
        "Добавится: {added} · изменится: {changed} · без изменений: {unchanged}",
        "Added: {added} · changed: {changed} · as they are: {unchanged}",
    ),
    "import_do": (
        "Загрузить {n} человека|Загрузить {n} человека|Загрузить {n} человек",
        "Load {n} person|Load {n} people",
    ),
    "import_wrong": (
        (
            "Исправьте {n} строку с ошибкой в файле: список загружается целиком или никак.|"
            "Исправьте {n} строки с ошибкой в файле: список загружается целиком или никак.|"
            "Исправьте {n} строк с ошибкой в файле: список загружается целиком или никак."
        ),
        (
            "Correct {n} wrong row in the file: the list is loaded whole or not at all.|"
            "Correct {n} wrong rows in the file: the list is loaded whole or not at all."
        ),
    ),
    "imported": ("Добавлено: {added}, изменено: {changed}", "Added: {added}, changed: {changed}"),
    "hint": (
        "Щёлкните по строке, чтобы открыть страницу человека.",
        "Click a row to open the person's page.",
    ),
}
