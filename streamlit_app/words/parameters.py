"""Texts of the parameters' page."""

WORDS: dict[str, tuple[str, str]] = {
    "title": ("Параметры", "Parameters"),
    "text": (
        "Что известно о заявках и исполнителях. Новый параметр сразу доступен в правилах и заявках — без программиста.",
        "What is known of tasks and executors. A new parameter is there for rules and tasks at once, without a programmer.",
    ),
    "of_task": ("Параметры заявок", "Parameters of tasks"),
    "of_executor": ("Параметры исполнителей", "Parameters of executors"),
    "empty_title": ("Каталог пуст", "The catalogue is empty"),
    "empty_text": (
        "Добавьте первый параметр: например, «Категория» заявки и «Навыки» исполнителя — тогда правило свяжет их.",
        "Add the first one: a task's “Category”, say, and an executor's “Skills”; a rule then connects them.",
    ),
    "label": ("Название", "Label"),
    "key": ("Ключ", "Key"),
    "key_help": (
        "Так параметр называется в API и правилах: латинские буквы, цифры и _. Потом не меняется.",
        "The name in the API and in rules: Latin letters, digits, _. It stays for good.",
    ),
    "owner": ("Чей", "Of"),
    "type": ("Тип", "Type"),
    "type_help": ("Потом не меняется: значения уже записаны", "It stays for good: values are stored already"),
    "options": ("Варианты", "Options"),
    "used_by": ("Кто читает", "Read by"),
    "used_rules": (
        "правила, {n} раз|правила, {n} раза|правила, {n} раз",
        "the rules, {n} time|the rules, {n} times",
    ),
    "unused": ("никто", "nobody"),
    "required": ("Обязателен", "Required"),
    "required_help": (
        "Заявка без него будет отклонена с понятной ошибкой; уже принятых это не касается.",
        "A task without it is refused with a clear error; those already taken in are not touched.",
    ),
    "deprecated": ("Устарел", "Deprecated"),
    "deprecated_help": (
        "Не предлагается в формах; правила и старые значения работают",
        "Not offered in forms; rules and old values go on working",
    ),
    "label_ru": ("Название по-русски", "Label in Russian"),
    "label_en": ("Название по-английски", "Label in English"),
    "minimum": ("Не меньше", "At least"),
    "maximum": ("Не больше", "At most"),
    "default": ("По умолчанию", "Default"),
    "open_options": ("Принимать новые варианты", "Take new options"),
    "open_options_help": (
        "Значение не из списка примут, а не отклонят",
        "A value that is not listed is taken, not refused",
    ),
    "option_value": ("Значение", "Value"),
    "option_ru": ("По-русски", "In Russian"),
    "option_en": ("По-английски", "In English"),
    "add": ("Добавить параметр", "Add a parameter"),
    "edit": ("Изменить", "Edit"),
    "delete": ("Удалить", "Delete"),
    "delete_text": (
        "Значения в старых заявках останутся, но правила их больше не увидят.",
        "Values in old tasks stay, but rules will not see them any more.",
    ),
    "delete_used": (
        "Нельзя удалить: параметр читают действующие правила. Сначала уберите его из них.",
        "It cannot be deleted: the rules in force read it. Take it out of them first.",
    ),
    "saved": ("Параметр сохранён", "The parameter is saved"),
    "deleted": ("Параметр удалён", "The parameter is deleted"),
    "choose": ("Параметр", "Parameter"),
    "key_wrong": (
        "Ключ: латинские буквы, цифры и _, первая — буква.",
        "Key: Latin letters, digits and _, a letter first.",
    ),
    "bounds": ("от {low} до {high}", "{low} to {high}"),
}
