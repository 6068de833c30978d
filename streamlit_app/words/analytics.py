"""Texts of the analytics' page."""

WORDS: dict[str, tuple[str, str]] = {
    "title": ("Аналитика", "Analytics"),
    "days": ("Период", "Period"),
    "days.1": ("сегодня", "today"),
    "days.7": ("7 дней", "7 days"),
    "days.30": ("30 дней", "30 days"),
    "excel": ("Отчёт Excel", "Excel report"),
    "excel_make": ("Подготовить отчёт Excel", "Prepare Excel report"),
    "tab.flow": ("Поток", "Flow"),
    "tab.fairness": ("Справедливость", "Fairness"),
    "tab.rules": ("Правила", "Rules"),
    "tab.skills": ("Где не хватает людей", "Skill gaps"),
    "received": ("поступило", "received"),
    "assigned": ("назначено", "assigned"),
    "completed": ("выполнено", "completed"),
    "parked": ("пришлось ждать", "had to wait"),
    "span": ("когда", "when"),
    "throughput": ("Поступило, назначено, выполнено", "Received, assigned, completed"),
    "throughput_alt": (
        "Заявки по времени: поступило, назначено, выполнено",
        "Tasks over time: received, assigned, completed",
    ),
    "latency": ("Время до назначения", "Time to assignment"),
    "latency_alt": ("Перцентили времени до назначения", "Percentiles of time to assignment"),
    "latency_text": (
        "За сколько назначены 50, 95 и 99 % заявок.",
        "How long it took to assign 50, 95 and 99% of tasks.",
    ),
    "seconds": ("секунды", "seconds"),
    "milliseconds": ("миллисекунды", "milliseconds"),
    "hour": ("час", "hour"),
    "day": ("день", "day"),
    "load": ("вес заявок", "weight of tasks"),
    "waits": ("Сколько заявок пришлось ждать", "How many tasks had to wait"),
    "waits_alt": ("Заявки, которые сразу некому было отдать", "Tasks that nobody could take right away"),
    "tasks": ("заявок", "tasks"),
    "compare_day": (
        "Сравнение со вчерашним днём к этому же часу",
        "Compared with yesterday up to this hour",
    ),
    "compare": ("Сравнение с предыдущим периодом", "Compared with the previous period"),
    "wait_mean": ("Среднее ожидание", "Average wait"),
    "before": ("было {value}", "was {value}"),
    "gap_by_day": ("Несправедливость по дням", "Fairness gap by day"),
    "gap_by_hour": ("Несправедливость сегодня, по часам", "Fairness gap today, by hour"),
    "gap_alt": ("Несправедливость во времени", "Fairness gap over time"),
    "gap": ("несправедливость", "fairness gap"),
    "gap_text": (
        "Как стоял день к концу часа: 0 % — каждый получил ровно свою долю.",
        "How the day stood at the end of each hour: 0% means everybody had exactly their fair share.",
    ),
    "mae": ("MAE", "MAE"),
    "mae_optimum": ("MAE идеала", "MAE of the optimum"),
    "mae_title": ("MAE загрузки рядом с MAE идеала", "MAE of load compared with the optimum"),
    "mae_text": (
        "Где есть узкие специалисты, MAE идеала не ноль: важна разница между линиями.",
        "With specialists in the team the optimum's MAE is not zero: what matters is the gap between the lines.",
    ),
    "who": ("Кто сколько получил за период", "Who received how much"),
    "who_alt": ("Получено и справедливая доля по исполнителям", "Load received and fair share by executor"),
    "fair": ("справедливая доля", "fair share"),
    "person": ("исполнитель", "executor"),
    "funnel": ("Скольких исключает каждое правило", "How many people each rule excludes"),
    "funnel_text": (
        (
            "Сколько исполнителей остаётся после каждого правила, в среднем по {n} последней заявке.|"
            "Сколько исполнителей остаётся после каждого правила, в среднем по {n} последним заявкам.|"
            "Сколько исполнителей остаётся после каждого правила, в среднем по {n} последним заявкам."
        ),
        (
            "How many executors remain after each rule, on average over the last {n} task.|"
            "How many executors remain after each rule, on average over the last {n} tasks."
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
            "По {n} последней заявке и исполнителям на месте. Один исполнитель может брать несколько значений, поэтому вторые "
            "столбцы в сумме больше 100 %. Людей не хватает там, где те, кто может, даже при самом ровном разделении работы "
            "несли бы на четверть больше среднего.|"
            "По {n} последним заявкам и исполнителям на месте. Один исполнитель может брать несколько значений, поэтому вторые "
            "столбцы в сумме больше 100 %. Людей не хватает там, где те, кто может, даже при самом ровном разделении работы "
            "несли бы на четверть больше среднего.|"
            "По {n} последним заявкам и исполнителям на месте. Один исполнитель может брать несколько значений, поэтому вторые "
            "столбцы в сумме больше 100 %. Людей не хватает там, где те, кто может, даже при самом ровном разделении работы "
            "несли бы на четверть больше среднего."
        ),
        (
            "Over the last {n} task and the people available now. One person may cover several values, so the second bars add "
            "up to more than 100%. People are short where those who can would carry a quarter more than average even if the "
            "work were split as evenly as possible.|"
            "Over the last {n} tasks and the people available now. One person may cover several values, so the second bars add "
            "up to more than 100%. People are short where those who can would carry a quarter more than average even if the "
            "work were split as evenly as possible."
        ),
    ),
    "demand": ("доля заявок", "share of tasks"),
    "coverage": ("доля исполнителей на месте, которые могут", "share of available people who can"),
    "value": ("значение", "value"),
    "people_have": ("исполнителей могут", "people who can"),
    "skills_alt": (
        "Доли заявок и исполнителей по значениям",
        "Share of tasks and of people who can take them, by value",
    ),
    "short_of": (
        "Не хватает людей: **{values}**.",
        "Short of people for: **{values}**.",
    ),
    "enough": ("Людей хватает везде.", "There are enough people for everything."),
    "no_pairs": (
        (
            "Правила не сравнивают списки исполнителей со значениями заявок, поэтому сравнивать спрос не с чем. "
            "Добавьте такое правило, например «навыки содержат категорию»."
        ),
        (
            "The active rules do not match tasks against executors' lists, so there are no skills to compare demand with. "
            "Add such a rule, for example “skills contain the category”."
        ),
    ),
    "nothing": ("За этот период данных нет", "No data for this period"),
    "nothing_text": (
        "Выберите период побольше или дождитесь первых заявок.",
        "Choose a longer period or wait for the first tasks.",
    ),
}
