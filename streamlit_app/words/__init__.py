"""Every text of the dashboard, in Russian and English, behind one lookup."""

from typing import Any

from streamlit_app.formatting import number
from streamlit_app.session import language
from streamlit_app.words import (
    analytics,
    common,
    executors,
    load_test,
    overview,
    parameters,
    rules,
    system,
    tasks,
)

TABLE: dict[str, tuple[str, str]] = {
    f"{name}.{key}": pair
    for name, words in (
        ("common", common.WORDS),
        ("overview", overview.WORDS),
        ("tasks", tasks.WORDS),
        ("executors", executors.WORDS),
        ("rules", rules.WORDS),
        ("parameters", parameters.WORDS),
        ("analytics", analytics.WORDS),
        ("load", load_test.WORDS),
        ("system", system.WORDS),
    )
    for key, pair in words.items()
}


def t(key: str, n: float | None = None, **values: Any) -> str:
    """A text in the session's language. `n` chooses among forms (`заявка|заявки|заявок`) and fills `{n}`."""
    text = TABLE[key][language() == "en"]
    if n is not None:
        text = _form(text, n)
        values["n"] = number(n)
    return text.format(**values) if values else text


def word(prefix: str, code: str) -> str:
    """The word for a code of the API; a code that is new here is shown as it is."""
    return t(f"{prefix}.{code}") if f"{prefix}.{code}" in TABLE else code.replace("_", " ")


def _form(text: str, n: float) -> str:
    forms = text.split("|")
    if len(forms) == 1:
        return text
    if len(forms) == 2:
        return forms[n != 1]
    count = abs(int(n))
    if n != count or count % 10 == 0 or count % 10 >= 5 or 11 <= count % 100 <= 14:
        return forms[2]
    return forms[0] if count % 10 == 1 else forms[1]
