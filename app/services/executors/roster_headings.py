"""Headings of tables of people: what systems of personnel, spreadsheets and the dashboard call each column."""

from collections.abc import Mapping, Sequence

OWN = {
    "external_id": (
        "external_id",
        "табельный номер",
        "внешний код",
        "номер в вашей системе",
        "your own number",
        "внешний номер",
        "external number",
    ),
    "name": ("name", "имя", "фио", "full name", "сотрудник", "исполнитель"),
    "active": ("active", "активен", "работает"),
    "availability": ("availability", "доступность", "где", "presence"),
    "working_hours": (
        "working_hours",
        "working hours",
        "hours",
        "рабочие часы",
        "часы работы",
        "часы",
        "график работы",
        "график",
    ),
    "daily_limit": ("daily_limit", "дневной лимит", "дневной предел", "daily limit"),
    "max_open": ("max_open", "одновременно", "открыто не больше", "open at most", "open limit"),
    "qualification": ("qualification", "квалификация"),
}
"""Columns by their keys, by what spreadsheets call them, and by what the dashboard does."""
ALSO = {
    "external_id": (
        *("таб. номер", "таб. №", "табельный №", "таб.номер", "номер сотрудника", "id сотрудника", "логин"),
        *(
            "employee id",
            "employee number",
            "employee #",
            "employee_id",
            "employee no",
            "personnel number",
            "staff id",
        ),
        *("userid", "user id", "samaccountname", "worker id", "id"),
    ),
    "name": (
        *(
            "ф.и.о.",
            "ф. и. о.",
            "фио сотрудника",
            "фамилия, имя, отчество",
            "фамилия имя отчество",
            "работник",
        ),
        *("employee", "employee name", "full_name", "fullname", "display name", "displayname", "worker"),
    ),
    "active": ("активный", "is active", "enabled", "is_active"),
    "daily_limit": ("лимит в день", "limit per day", "dailylimit"),
    "max_open": ("maxopen", "одновременно заявок"),
}
"""Other headings for these fields in exports of HR systems. A parameter of the pool with the same name wins."""
TITLES: Mapping[str, Mapping[str, str]] = {
    "external_id": {"ru": "Табельный номер", "en": "Your own number"},
    "name": {"ru": "ФИО", "en": "Full name"},
    "active": {"ru": "Работает", "en": "Active"},
    "daily_limit": {"ru": "Дневной лимит", "en": "Daily limit"},
    "max_open": {"ru": "Одновременно", "en": "Open limit"},
    "qualification": {"ru": "Квалификация", "en": "Qualification"},
}
"""Headings of the template for people."""
NAME_PARTS = (
    ("фамилия", "surname", "last name", "last_name", "lastname", "family name", "family_name", "sn"),
    ("имя", "first name", "first_name", "firstname", "given name", "given_name", "givenname", "name"),
    ("отчество", "patronymic", "middle name", "middle_name", "middlename"),
)
"""A name in two or three columns; the first one makes it a name in parts."""


def has_names(headings: Sequence[str]) -> bool:
    """Whether a row of a file has the heading that a table of people must have."""
    small = {heading_of(heading) for heading in headings}
    return not small.isdisjoint((*OWN["name"], *ALSO["name"])) or is_in_parts(headings)


def heading_of(text: str | None) -> str:
    """A heading as it is compared: in small letters and one line, without the marks of fields that are required."""
    return " ".join((text or "").split()).strip(" *:").casefold()


def is_in_parts(headings: Sequence[str]) -> bool:
    """Whether these headings have a name in two or three columns."""
    small = {heading_of(heading) for heading in headings}
    return not small.isdisjoint(NAME_PARTS[0]) and not small.isdisjoint(NAME_PARTS[1])


def part_of_name(heading: str) -> int | None:
    """Which part of a name a column holds, in the order in which they are written; None: none."""
    return next((part for part, names in enumerate(NAME_PARTS) if heading_of(heading) in names), None)
