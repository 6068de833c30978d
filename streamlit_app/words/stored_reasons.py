"""Reasons that the service wrote into a task's history or a replay, in Russian: they are stored in English."""

import re

_REASONS = [
    (r"left", "ушёл"),
    (r"absent", "отсутствует"),
    (r"removed", "убран"),
    (r"not accepted within (\S+) s", "не принята за {0} с"),
    (r"waited (\S+) min: no longer required: (.+)", "ждала {0} мин: больше не требуется {1}"),
    (r"waited (\S+) min in (\S+) \(.*\): from (\S+) to (\S+)", "ждала {0} мин: из {2} в {3}"),
    (r"waited (\S+) min in (\S+) \(.*\); not opened to (\S+): (.+)", "ждала {0} мин в команде {1}; в {2} не принята: {3}"),
    (r"waited (\S+) min in (\S+) \(.*\)", "ждала {0} мин в команде {1}"),
    (r"its process ended; start it again", "её процесс завершился: запустите заново"),
]  # fmt: skip
_COMPILED = [(re.compile(pattern, re.DOTALL), text) for pattern, text in _REASONS]


def reason_in_russian(sentence: str) -> str:
    """A stored reason; what a person wrote as it is."""
    for pattern, text in _COMPILED:
        if found := pattern.fullmatch(sentence):
            return text.format(*found.groups())
    return sentence
