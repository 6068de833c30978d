"""Texts of the load test's page."""

WORDS: dict[str, tuple[str, str]] = {
    "title": ("Нагрузочная проверка", "Load test"),
    "text": (
        (
            "Поток выдуманных заявок в отдельную команду «{pool}». Ваши команды и люди не затронуты. Проверка идёт на сервере: "
            "страницу можно закрыть и вернуться."
        ),
        (
            "A stream of made-up tasks sent to a separate team, “{pool}”. Your own teams and people are not affected. It runs on "
            "the server, so you can leave this page and come back."
        ),
    ),
    "pool_name": ("Нагрузочная проверка", "Load test"),
    "rate": ("Заявок в секунду", "Tasks per second"),
    "duration": ("Длительность, с", "Duration, s"),
    "people": ("Исполнителей", "Executors"),
    "mix": ("Состав", "Mix"),
    "mix.even": ("поровну по категориям", "evenly across categories"),
    "mix.peak": ("всплеск одной категории", "peak in one category"),
    "mix.heavy": ("много тяжёлых и важных", "many heavy and urgent tasks"),
    "start": ("Начать", "Start"),
    "stop": ("Остановить", "Stop"),
    "again": ("Новая проверка", "New test"),
    "state.preparing": ("Готовлю команду, людей и правила…", "Preparing the team, people and rules…"),
    "state.running": ("Идёт: {done} из {total}", "Running: {done} of {total}"),
    "state.draining": ("Отправлено всё, жду назначений", "All sent, waiting for assignments"),
    "state.done": ("Готово", "Done"),
    "state.stopped": ("Остановлено", "Stopped"),
    "state.failed": ("Прервано: {why}", "Interrupted: {why}"),
    "sent": ("Принято", "Received"),
    "assigned": ("Назначено", "Assigned"),
    "throughput": ("Назначено в секунду", "Assigned per second"),
    "waiting": ("Ещё не решено", "Not decided yet"),
    "chart": ("Пропускная способность", "Throughput"),
    "chart_latency": ("До назначения", "Time to assignment"),
    "per_second": ("заявок в секунду", "tasks per second"),
    "second": ("секунда", "second"),
    "milliseconds": ("миллисекунды", "milliseconds"),
    "chart_alt": ("Принято и назначено по секундам", "Received and assigned per second"),
    "latency_alt": ("Задержка до назначения по секундам", "Time to assignment per second"),
    "refused": (
        "Отказов: {n} (сервис перегружен и просит подождать)",
        "Rejected: {n} (the service is overloaded and asks to wait)",
    ),
    "even": (
        "Несправедливость распределения за сегодня в этой команде: **{gap}**.",
        "Fairness gap of this team today: **{gap}**.",
    ),
    "not_allowed": (
        "Команду для проверки может создать администратор.",
        "Only an administrator can create the team for the test.",
    ),
    "open_pool": ("Открыть эту команду на обзоре", "Show this team in Overview"),
}
