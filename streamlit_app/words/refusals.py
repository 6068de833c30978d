"""What the API says of wrong values and refused moves, in Russian: its sentences are English, a page's are not.

Each pattern stands for one sentence; what it holds (keys, names, numbers) goes into the Russian one as it is.
"""

import re

_PAIRS = [
    (r"required, but missing", "обязательно, но не задано"),
    (r"send a value", "укажите значение"),
    (r"(.+) is below (.+)", "{0} меньше, чем {1}"),
    (r"(.+) is above (.+)", "{0} больше, чем {1}"),
    (r"send at least (.+)", "укажите не меньше {0}"),
    (r"send at most (.+)", "укажите не больше {0}"),
    (r"(.+) is not an option", "значения {0} нет в списке"),
    (r"use one of: (.+)", "допустимо: {0}"),
    (r"(.+) is not a number", "{0} — не число"),
    (r"send a number", "укажите число"),
    (r"send a string", "укажите текст"),
    (r"taken by another executor of this pool", "уже есть у другого исполнителя команды"),
    (r"choose another one", "выберите другое"),
    (r"maximum (.+) is below minimum (.+)|(.+) is below minimum (.+)", "наибольшее меньше наименьшего"),
    (r"send minimum <= maximum", "наименьшее должно быть не больше наибольшего"),
    (r"name each option once", "каждый вариант — один раз"),
    (r"String should have at least (\d+) characters?", "нужно не меньше знаков: {0}"),
    (r"String should have at most (\d+) characters?", "нужно не больше знаков: {0}"),
    (r"String should match pattern .+", "недопустимые знаки"),
    (r"Input should be greater than or equal to (.+)", "нужно не меньше {0}"),
    (r"Input should be greater than (.+)", "нужно больше {0}"),
    (r"Input should be less than or equal to (.+)", "нужно не больше {0}"),
    (r"Field required", "обязательное поле"),
    (r"key: this pool has a parameter '(.+)' of the (task|executor) already; choose another key\.",
     "Параметр «{0}» в этой команде уже есть: выберите другой ключ."),
    (r"The active rule set '(.+)' reads this parameter: change the rules first\.",
     "Параметр читают действующие правила «{0}»: сначала измените правила."),
    (r"(\d+)(?: or more)? things would break; the first: (?:rule set|executor|task) (\d+), .+",
     "Изменение нарушило бы то, что уже есть (случаев: {0}). Сначала исправьте это или измените меньше."),
    (r"external_id: taken by another executor of this pool\.", "Такой номер уже есть у другого исполнителя команды."),
    (r"There is no (?:task|executor|parameter|rule set) (\d+)\.", "Записи {0} нет."),
    (r"A task that is (.+) changes no more\.", "Завершённая заявка больше не меняется."),
]  # fmt: skip
_RUSSIAN = [(re.compile(pattern, re.DOTALL), text) for pattern, text in _PAIRS]


def in_russian(sentence: str) -> str | None:
    """The sentence in Russian; None for one that is not known here."""
    for pattern, text in _RUSSIAN:
        if found := pattern.fullmatch(sentence):
            return text.format(*found.groups())
    return None
