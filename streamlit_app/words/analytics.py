"""Texts of the analytics' page."""

WORDS: dict[str, tuple[str, str]] = {
    "title": ("Аналитика", "Analytics"),
    "days": ("Период", "Period"),
    "days.1": ("сегодня", "today"),
    "days.7": ("7 дней", "7 days"),
    "days.30": ("30 дней", "30 days"),
    "excel": ("Отчёт Excel", "Excel report"),
    "excel_make": ("Подготовить отчёт Excel", "Prepare the Excel report"),
    "tab.flow": ("Поток", "Flow"),
    "tab.fairness": ("Справедливость", "Fairness"),
    "tab.rules": ("Правила", "Rules"),
    "tab.skills": ("Где не хватает людей", "Where people are missing"),
    "received": ("поступило", "taken in"),
    "assigned": ("назначено", "assigned"),
    "completed": ("выполнено", "completed"),
    "parked": ("пришлось ждать", "had to wait"),
    "span": ("когда", "when"),
    "throughput": ("Поступило, назначено, выполнено", "Taken in, assigned, completed"),
    "throughput_alt": (
        "Заявки по времени: поступило, назначено, выполнено",
        "Tasks over time: taken in, assigned, completed",
    ),
    "latency": ("Время до назначения", "Time to assignment"),
    "latency_alt": ("Перцентили времени до назначения", "Percentiles of the time to assignment"),
    "seconds": ("секунды", "seconds"),
    "waits": ("Сколько заявок пришлось ждать", "How many tasks had to wait"),
    "waits_alt": ("Заявки, которые сразу некому было отдать", "Tasks that nobody could take at once"),
    "tasks": ("заявок", "tasks"),
    "compare_day": (
        "Сравнение с прошлым днём к концу этого же часа",
        "Against the day before, up to the end of this hour",
    ),
    "compare": ("Сравнение с предыдущим периодом", "Against the period before"),
    "wait_mean": ("Среднее ожидание", "Mean wait"),
    "before": ("было {value}", "{value} before"),
    "gap_by_day": ("Несправедливость по дням", "Fairness gap by day"),
    "gap_by_hour": ("Несправедливость сегодня, по часам", "Fairness gap today, by the hour"),
    "gap_alt": ("Несправедливость во времени", "Fairness gap over time"),
    "gap": ("несправедливость", "fairness gap"),
    "gap_text": (
        "Как стоял день к концу часа: 0 % — каждый получил ровно свою долю.",
        "How the day stood at the end of each hour: 0% means everybody had exactly their share.",
    ),
    "mae": ("MAE", "MAE"),
    "mae_optimum": ("MAE идеала", "MAE of the optimum"),
    "mae_title": ("MAE загрузки рядом с MAE идеала", "MAE of load beside that of the optimum"),
    "mae_text": (
        "Где есть узкие специалисты, MAE идеала не ноль: важна разница между линиями.",
        "Where there are specialists the optimum's MAE is not zero: what matters is the difference of the lines.",
    ),
    "who": ("Кто сколько получил за период", "Who received how much in the period"),
    "who_alt": ("Получено и справедливая доля по исполнителям", "Received and fair share by executor"),
    "fair": ("справедливая доля", "fair share"),
    "person": ("исполнитель", "executor"),
    "funnel": ("Какое правило сколько исключает", "Which rule excludes how much"),
    "funnel_text": (
        (
            "По решениям о {n} последней заявке: скольких исполнителей в среднем отсекает каждое правило (считается первое нарушенное).|"
            "По решениям о {n} последних заявках: скольких исполнителей в среднем отсекает каждое правило (считается первое нарушенное).|"
            "По решениям о {n} последних заявках: скольких исполнителей в среднем отсекает каждое правило (считается первое нарушенное)."
        ),
        (
            "Over the decisions on the last {n} task: how many executors each rule cuts off on average (the first that fails counts).|"
            "Over the decisions on the last {n} tasks: how many executors each rule cuts off on average (the first that fails counts)."
        ),
    ),
    "funnel_all": ("все исполнители", "all executors"),
    "funnel_left": ("подходят", "suitable"),
    "funnel_rule": ("после «{rule}»", "after “{rule}”"),
    "funnel_alt": (
        "Воронка правил: сколько исполнителей остаётся",
        "Funnel of rules: how many executors remain",
    ),
    "skills_text": (
        (
            "Спрос — доля {n} последней заявки с этим значением. Покрытие — доля исполнителей на месте, у которых оно есть. "
            "Где спрос выше покрытия, людей не хватает.|"
            "Спрос — доля среди {n} последних заявок. Покрытие — доля исполнителей на месте, у которых это есть. Где спрос выше покрытия, людей не хватает.|"
            "Спрос — доля среди {n} последних заявок. Покрытие — доля исполнителей на месте, у которых это есть. Где спрос выше покрытия, людей не хватает."
        ),
        (
            "Demand is the share of the last {n} task. Coverage is the share of executors here who have it. Where demand is over coverage, people are missing.|"
            "Demand is the share of the last {n} tasks. Coverage is the share of executors here who have it. Where demand is over coverage, people are missing."
        ),
    ),
    "demand": ("спрос", "demand"),
    "coverage": ("покрытие", "coverage"),
    "value": ("значение", "value"),
    "people_have": ("исполнителей на месте", "executors here"),
    "skills_alt": ("Спрос и покрытие по значениям", "Demand and coverage by value"),
    "short_of": (
        "Не хватает людей: **{values}**.",
        "People are missing for: **{values}**.",
    ),
    "enough": ("Покрытие достаточное везде.", "Coverage is sufficient everywhere."),
    "no_pairs": (
        (
            "Правила не сравнивают списки исполнителей со значениями заявок, поэтому сравнивать спрос не с чем. "
            "Добавьте такое правило, например «навыки содержат категорию»."
        ),
        (
            "The rules do not compare lists of executors with values of tasks, so there is nothing to compare demand with. "
            "Add such a rule, for instance “skills contain the category”."
        ),
    ),
    "nothing": ("За этот период данных нет", "There is nothing for this period"),
    "nothing_text": (
        "Выберите период побольше или дождитесь первых заявок.",
        "Choose a longer period, or wait for the first tasks.",
    ),
}
