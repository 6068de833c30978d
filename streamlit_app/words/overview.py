"""Texts of the overview."""

WORDS: dict[str, tuple[str, str]] = {
    "title": ("Обзор", "Overview"),
    "period": ("Период", "Period"),
    "period.15": ("15 минут", "15 minutes"),
    "period.60": ("1 час", "1 hour"),
    "period.240": ("4 часа", "4 hours"),
    "period.1440": ("24 часа", "24 hours"),
    "offline_stream": ("связь потеряна, опрашиваю", "stream lost, asking instead"),
    "per_minute": ("Вход → выход в минуту", "In → out per minute"),
    "in_out": ("{received} → {assigned}", "{received} → {assigned}"),
    "in_out_help": (
        "Среднее за пять последних полных минут: сколько поступило и сколько назначено.",
        "Mean of the last five whole minutes: taken in and assigned.",
    ),
    "assigned": ("Назначено за период", "Assigned in the period"),
    "of_received": ("из {n} поступившей|из {n} поступивших|из {n} поступивших", "of {n} taken in"),
    "waiting": ("Ждут", "Waiting"),
    "waiting_help": (
        "Заявки, которые сейчас некому отдать. Причина — ниже.",
        "Tasks that nobody can take now. The reasons are below.",
    ),
    "oldest": ("самая давняя — {time}", "the oldest for {time}"),
    "undecided": ("и {n} в очереди на решение", "and {n} about to be decided"),
    "latency": ("До назначения", "Time to assignment"),
    "latency_help": (
        "Половина заявок быстрее первого числа; 95 % и 99 % быстрее следующих. По {n} последним назначениям.",
        "Half of the tasks are faster than the first number; 95% and 99% faster than the next. Over the last {n} assignments.",
    ),
    "gap": ("Несправедливость", "Fairness gap"),
    "gap_help": (
        "Сумма отклонений от справедливых долей, делённая на сумму долей, за сегодня: 0 % — идеально. Справедливая доля — лучшее, чего позволяют правила, пределы и присутствие людей.",
        "The sum of deviations from fair shares over the sum of fair shares, today: 0% is perfect. The fair share is the best that rules, limits and presence allow.",
    ),
    "mae": ("MAE {value} · идеал {optimum}", "MAE {value} · best {optimum}"),
    "mae_help": (
        (
            "Среднее отклонение загрузки от средней. Где есть узкие специалисты, оно не равно нулю и при идеальном "
            "распределении, поэтому рядом — MAE этого идеала: сравнивайте с ним."
        ),
        (
            "Mean deviation of load from its mean. Where there are specialists even a perfect distribution has one, so "
            "that of the optimum stands beside it: compare with that."
        ),
    ),
    "flow": ("Поступило и назначено", "Taken in and assigned"),
    "received": ("поступило", "taken in"),
    "assigned_line": ("назначено", "assigned"),
    "closed": ("закрыто", "closed"),
    "time": ("время", "time"),
    "flow_unit": (
        "заявок за {n} минуту|заявок за {n} минуты|заявок за {n} минут",
        "tasks per minute|tasks per {n} minutes",
    ),
    "flow_alt": (
        "Столбцы поступивших заявок и линия назначенных по времени",
        "Bars of tasks taken in and a line of assignments over time",
    ),
    "why_waiting": ("Кто ждёт и почему", "What waits, and why"),
    "nothing_waits": (
        "Ничего не ждёт: у каждой заявки есть исполнитель.",
        "Nothing waits: every task has an executor.",
    ),
    "show_waiting": ("Показать эти заявки", "Show these tasks"),
    "load": ("Нагрузка против справедливой доли", "Load against the fair share"),
    "load_text": (
        (
            "Нагрузка — вес полученных за день заявок, а не открытых сейчас: быстрый не наказан. "
            "Вправо — получил больше справедливого, влево — меньше."
        ),
        (
            "Load is the weight of tasks received today, not of those open now: nobody is punished for working fast. "
            "To the right: more than fair; to the left: less."
        ),
    ),
    "person": ("Исполнитель", "Executor"),
    "received_load": ("Получено", "Received"),
    "fair": ("Справедливо", "Fair"),
    "deviation": ("Отклонение", "Deviation"),
    "deviation_axis": ("меньше ← справедливо → больше", "less ← fair → more"),
    "all_even": (
        "Все получили свою долю с точностью до одной заявки из десяти.",
        "Everybody has their share, to within one task of ten.",
    ),
    "some_uneven": (
        "{n} исполнитель отклоняется заметно|{n} исполнителя отклоняются заметно|{n} исполнителей отклоняются заметно",
        "{n} executor is off noticeably|{n} executors are off noticeably",
    ),
    "most_of": (
        "Показаны {shown} с наибольшим отклонением из {total}.",
        "The {shown} furthest off of {total} are shown.",
    ),
    "spread": ("Как распределены отклонения", "How deviations are spread"),
    "spread_alt": (
        "Гистограмма отклонений от справедливой доли",
        "Histogram of deviations from the fair share",
    ),
    "people_count": ("исполнителей", "executors"),
    "deviation_tasks": ("отклонение, заявок", "deviation, tasks"),
    "all_people": ("Все исполнители", "All executors"),
    "no_work": ("Сегодня заявок ещё не было", "No work yet today"),
    "no_work_text": (
        "Отправьте заявки в `POST /v1/tasks`, сыграйте демонстрацию `python demo.py` или создайте поток на странице «Нагрузка».",
        "Send tasks to `POST /v1/tasks`, play `python demo.py`, or make a stream on the Load test page.",
    ),
    "all_well": ("Всё в порядке: тревог нет.", "All is well: no alerts."),
    "more_alerts": ("Ещё {n} тревога|Ещё {n} тревоги|Ещё {n} тревог", "{n} more alert|{n} more alerts"),
    "alert.no_executors": (
        "В команде нет исполнителей: назначать некому. Добавьте их на странице «Исполнители».",
        "The team has no executors: nobody can be assigned. Add them on the Executors page.",
    ),
    "alert.nobody_available": (
        "Никого нет на месте. Ждут: {tasks}. Верните людей с перерыва или дождитесь начала смены.",
        "Nobody is here. Waiting: {tasks}. End somebody's break, or wait for the shift to begin.",
    ),
    "alert.undecided": (
        (
            "Заявки не рассматриваются: в очереди {tasks}, самая давняя — {seconds}. Проверьте, что запущен воркер "
            "(`python app/worker.py`)."
        ),
        "Tasks are not being decided: {tasks} queued, the oldest for {seconds}. Check that a worker runs (`python app/worker.py`).",
    ),
    "alert.no_one_eligible": (
        "Никто не подходит по правилам: {tasks}. Смягчите правило или добавьте навык — на странице «Правила» видно, что мешает.",
        "Nobody passes the rules: {tasks}. Relax a rule or add a skill; the Rules page shows what is in the way.",
    ),
    "alert.all_at_limit": (
        "Дневные пределы исчерпаны, ждут: {tasks}. Поднимите пределы или добавьте людей.",
        "Daily limits are used up, waiting: {tasks}. Raise the limits or add people.",
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
        "There are no rules in force: anybody may get anything. That is legal, but rarely what is wanted.",
    ),
}
