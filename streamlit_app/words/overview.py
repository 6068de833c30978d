"""Texts of the overview."""

WORDS: dict[str, tuple[str, str]] = {
    "title": ("Обзор", "Overview"),
    "period": ("Период", "Period"),
    "period.15": ("15 минут", "15 minutes"),
    "period.60": ("1 час", "1 hour"),
    "period.240": ("4 часа", "4 hours"),
    "period.1440": ("24 часа", "24 hours"),
    "offline_stream": ("связь потеряна, опрашиваю", "live updates lost, polling"),
    "per_minute": ("Вход → выход в минуту", "In → out per minute"),
    "in_out": ("{received} → {assigned}", "{received} → {assigned}"),
    "in_out_help": (
        "Среднее за пять последних полных минут: сколько поступило и сколько назначено.",
        "Average over the last five full minutes: tasks received and assigned.",
    ),
    "assigned": ("Назначено за период", "Assigned in period"),
    "of_received": ("из {n} поступившей|из {n} поступивших|из {n} поступивших", "of {n} received"),
    "waiting": ("Ждут", "Waiting"),
    "waiting_help": (
        "Заявки, которые сейчас некому отдать. Причина — ниже.",
        "Tasks that nobody can take right now. The reasons are below.",
    ),
    "oldest": ("самая давняя — {time}", "oldest: {time}"),
    "undecided": ("и {n} в очереди на решение", "and {n} in the queue"),
    "latency": ("До назначения", "Time to assignment"),
    "latency_help": (
        "Половина заявок быстрее первого числа; 95 % и 99 % быстрее следующих. По {n} последним назначениям.",
        "Half of the tasks are assigned faster than the first number, 95% and 99% faster than the others. Last {n} assignments.",
    ),
    "gap": ("Несправедливость", "Fairness gap"),
    "gap_help": (
        "Сумма отклонений от справедливых долей, делённая на сумму долей, за сегодня: 0 % — идеально. Справедливая доля — лучшее, чего позволяют правила, пределы и присутствие людей.",
        "Today's deviations from fair shares as a percentage of all fair shares: 0% is perfect. A fair share is the best that rules, limits and attendance allow.",
    ),
    "mae": ("MAE {value} · идеал {optimum}", "MAE {value} · optimum {optimum}"),
    "mae_help": (
        (
            "среднее отклонение загрузки от средней. Где есть узкие специалисты, оно не равно нулю и при идеальном "
            "распределении, поэтому рядом — MAE этого идеала: сравнивайте с ним."
        ),
        (
            "the average deviation of load from the mean. With specialists in the team even a perfect distribution has "
            "some, so the optimum's MAE stands beside it: compare with that."
        ),
    ),
    "flow": ("Поступило и назначено", "Received and assigned"),
    "received": ("поступило", "received"),
    "assigned_line": ("назначено", "assigned"),
    "closed": ("закрыто", "closed"),
    "time": ("время", "time"),
    "flow_unit": (
        "заявок в минуту|заявок за {n} минуты|заявок за {n} минут",
        "tasks per minute|tasks per {n} minutes",
    ),
    "flow_alt": (
        "Столбцы поступивших заявок и линия назначенных по времени",
        "Tasks received (bars) and assigned (line) over time",
    ),
    "why_waiting": ("Кто ждёт и почему", "What is waiting, and why"),
    "nothing_waits": (
        "Ничего не ждёт: у каждой заявки есть исполнитель.",
        "Nothing is waiting: every task has an executor.",
    ),
    "show_waiting": ("Показать эти заявки", "Show these tasks"),
    "load": ("Нагрузка против справедливой доли", "Load against fair share"),
    "load_text": (
        (
            "Нагрузка — вес полученных за день заявок, а не открытых сейчас: быстрый не наказан. "
            "Вправо — получил больше справедливого, влево — меньше."
        ),
        (
            "Load is the weight of tasks received today, not of those open now, so nobody is penalised for working fast. "
            "Bars to the right: more than fair; to the left: less."
        ),
    ),
    "person": ("Исполнитель", "Executor"),
    "received_load": ("Получено", "Received"),
    "fair": ("Справедливо", "Fair"),
    "deviation": ("Отклонение", "Deviation"),
    "deviation_axis": ("меньше ← справедливо → больше", "less ← fair → more"),
    "all_even": (
        "Все получили свою долю: отклонения не больше 10 %.",
        "Everybody has received their fair share, within 10%.",
    ),
    "some_uneven": (
        "{n} исполнитель отклоняется заметно|{n} исполнителя отклоняются заметно|{n} исполнителей отклоняются заметно",
        "{n} executor is noticeably off the fair share|{n} executors are noticeably off the fair share",
    ),
    "most_of": (
        "Показаны {shown} с наибольшим отклонением из {total}.",
        "Showing the {shown} of {total} executors furthest from their share.",
    ),
    "spread": ("Как распределены отклонения", "Distribution of deviations"),
    "spread_alt": (
        "Гистограмма отклонений от справедливой доли",
        "Histogram of deviations from fair share",
    ),
    "people_count": ("исполнителей", "executors"),
    "deviation_tasks": ("отклонение, заявок", "deviation, tasks"),
    "all_people": ("Все исполнители", "All executors"),
    "no_work": ("Сегодня заявок ещё не было", "No tasks yet today"),
    "no_work_text": (
        "Отправьте заявки в `POST /v1/tasks`, сыграйте демонстрацию `python demo.py` или создайте поток на странице «Нагрузка».",
        "Send tasks to `POST /v1/tasks`, run the demo with `python demo.py`, or start a stream on the Load test page.",
    ),
    "all_well": ("Всё в порядке: тревог нет.", "All good: no alerts."),
    "more_alerts": ("Ещё {n} тревога|Ещё {n} тревоги|Ещё {n} тревог", "{n} more alert|{n} more alerts"),
    "alert.no_executors": (
        "В команде нет исполнителей: назначать некому. Добавьте их на странице «Исполнители».",
        "The team has no executors, so nothing can be assigned. Add them on the Executors page.",
    ),
    "alert.nobody_available": (
        "Никого нет на месте. Ждут: {tasks}. Верните людей с перерыва или дождитесь начала смены.",
        "Nobody is available. Waiting: {tasks}. End somebody's break or wait for the shift to start.",
    ),
    "alert.undecided": (
        (
            "Заявки не рассматриваются: в очереди {tasks}, самая давняя — {seconds}. Проверьте, что запущен воркер "
            "(`python app/worker.py`)."
        ),
        "Tasks are not being assigned: {tasks} queued, the oldest for {seconds}. Check that a worker is running (`python app/worker.py`).",
    ),
    "alert.no_one_eligible": (
        "Никто не подходит по правилам: {tasks}. Смягчите правило или добавьте навык — на странице «Правила» видно, что мешает.",
        "Nobody matches the rules: {tasks}. Relax a rule or add a skill; the Rules page shows what is in the way.",
    ),
    "alert.too_heavy": (
        "Тяжелее любого дневного предела, сами не будут назначены: {tasks}. Уменьшите вес или поднимите предел.",
        "Heavier than any daily limit, will never be assigned as they are: {tasks}. Lower the weight or raise a limit.",
    ),
    "alert.all_at_limit": (
        "Дневные пределы исчерпаны, ждут: {tasks}. Поднимите пределы или добавьте людей.",
        "Daily limits are used up, waiting: {tasks}. Raise the limits or add people.",
    ),
    "alert.paused": (
        "Пул на паузе: ждут {tasks}, и ничего не раздаётся. Пауза снимается в API: `active: true` у пула.",
        "The pool is paused: {tasks} wait, and nothing is given out. It goes on with `active: true` of the pool, by the API.",
    ),
    "alert.misplaced": (
        "Не у тех, кому их можно иметь: {tasks}. Список и передача другим: страница «Заявки».",
        "With people who may not have them any more: {tasks}. The Tasks page lists them and moves them.",
    ),
    "alert.waiting_long": (
        "Самая давняя заявка ждёт {seconds}.",
        "The oldest task has been waiting for {seconds}.",
    ),
    "alert.slow": (
        "Назначение медленное: 95 % заявок — до {seconds}. Добавьте воркер.",
        "Assignment is slow: 95% of tasks take up to {seconds}. Add a worker.",
    ),
    "alert.no_rules": (
        "Правил нет: любую заявку может получить любой. Это законно, но обычно не то, что нужно.",
        "No rules are active: anybody may get any task. That is allowed, but rarely intended.",
    ),
}
