"""Streamlit's own labels in Russian: it writes them in English only, whatever the page speaks.

A script in the page changes exactly these texts where they appear, and back when somebody chooses English. Texts of
pages and people's values are not looked at. Calendars have no language of their own to choose (streamlit/streamlit
#12699): they follow the browser's, so the page says to them that it speaks the session's.
"""

import json

import streamlit as st

from streamlit_app.session import language

RUSSIAN = {
    "Skip to main content": "К содержанию страницы",
    "Sidebar": "Боковая панель",
    "Logo": "Логотип",
    "Collapse sidebar": "Свернуть панель",
    "Expand sidebar": "Развернуть панель",
    "App pages": "Страницы",
    "Link to heading": "Ссылка на заголовок",
    "Navigate to home page": "На первую страницу",
    "Choose an option": "Выберите",
    "Choose options": "Выберите",
    "Open": "Открыть",
    "Close": "Закрыть",
    "Dismiss": "Закрыть",
    "Help": "Подсказка",
    "Select all": "Выбрать все",
    "Clear all": "Убрать все",
    "No results": "Ничего не найдено",
    "Decrement": "Меньше",
    "Increment": "Больше",
    "Clear value": "Очистить",
    "Press Enter to apply": "Enter — применить",
    "Press Enter to submit form": "Enter — отправить",
    "Press Ctrl+Enter to apply": "Ctrl+Enter — применить",
    "Press ⌘+Enter to apply": "⌘+Enter — применить",
    "Show password": "Показать пароль",
    "Hide password": "Скрыть пароль",
    "Show password text": "Показать пароль",
    "Hide password text": "Скрыть пароль",
    "Fullscreen": "Во весь экран",
    "Close fullscreen": "Закрыть полный экран",
    "Show/hide columns": "Столбцы",
    "Download as CSV": "Скачать CSV",
    "Search": "Найти",
    "Add row": "Добавить строку",
    "Delete row(s)": "Удалить строки",
    "Clear selection": "Снять выбор",
    "Sort ascending": "По возрастанию",
    "Sort descending": "По убыванию",
    "Pin column": "Закрепить столбец",
    "Unpin column": "Открепить столбец",
    "Hide column": "Скрыть столбец",
    "Autosize": "Ширина по содержимому",
    "Format": "Формат",
    "Statistics": "Сводка",
    "Type to search": "Что найти",
    "Upload": "Выбрать файл",
    "file upload": "выбор файла",
    "Add files": "Другой файл",
    "Drag and drop file here": "Или перетащите файл сюда",
    "Browse files": "Выбрать файл",
    "Error:": "Ошибка:",
    "Choose date and time": "Выберите дату и время",
    "Time": "Время",
    "Previous month": "Предыдущий месяц",
    "Next month": "Следующий месяц",
    "month": "месяц",
    "year": "год",
    "yyyy": "гггг",
    "mm": "мм",
    "dd": "дд",
    "Empty": "Пусто",
    "Running...": "Работает…",
    "Stop": "Остановить",
}
"""By what Streamlit 1.67 writes."""

PATTERNS = {
    r"^(\d+)\s?MB per file$": "до $1 МБ",
    r"^(\d+) options? available\.$": "вариантов: $1",
    r"^Remove (.+)$": "Убрать $1",
    r"^(.*) files are not allowed\.$": "файлы такого вида не принимаются.",
    r"^Use arrow keys to navigate\..*$": "Стрелки — выбор дня, Enter — принять, Tab — к другим полям.",
    r"^Choose date and time, (.+)$": "Выберите дату и время, $1",
    r"^Help for (.+)$": "Подсказка: $1",
    r"^Fullscreen: (.+)$": "Во весь экран: $1",
    r"^Show/hide columns: (.+)$": "Столбцы: $1",
    r"^Download as CSV: (.+)$": "Скачать CSV: $1",
    r"^Search: (.+)$": "Найти: $1",
    r"^year, (.+)$": "год, $1",
    r"^month, (.+)$": "месяц, $1",
    r"^day, (.+)$": "день, $1",
    r"^hour,\s*(.*)$": "час, $1",
    r"^minute,\s*(.*)$": "минута, $1",
}

_SCRIPT = """
(() => {
  const words = %s, patterns = %s.map(([from, to]) => [new RegExp(from), to]);
  const SKIP = "script,style,canvas,svg,table,textarea,code,[data-testid=stHtml]";
  const OURS = "[data-testid=stMarkdownContainer],[data-testid=stButton],[data-testid=stTab]";
  const THEIRS = "[data-testid=stTooltipContent],[data-testid=stFileUploader]";
  const LISTED = new Set(%s);
  const NAMES = ["aria-label", "title", "placeholder", "alt", "aria-valuetext"];
  const say = text => {
    const key = text.trim();
    if (Object.hasOwn(words, key)) return text.replace(key, words[key]);
    for (const [from, to] of patterns) if (from.test(key)) return key.replace(from, to);
    return text;
  };
  const one = node => {
    if (node.nodeType === 3) {
      const around = node.parentElement;
      if (!around || (around.closest(OURS) && !around.closest(THEIRS))) return;
      // In a list of options stand values of people, and these two.
      if (around.closest("[role=option]") && !LISTED.has(node.nodeValue.trim())) return;
      const told = say(node.nodeValue);
      if (told !== node.nodeValue) node.nodeValue = told;
    } else for (const name of NAMES) {
      const text = node.getAttribute(name);
      if (!text) continue;
      const told = say(text);
      if (told !== text) node.setAttribute(name, told);
    }
  };
  const all = root => {
    if (root.nodeType === 3) return root.parentElement?.closest(SKIP) || one(root);
    if (root.nodeType !== 1 || root.closest(SKIP)) return;
    one(root);
    const walker = document.createTreeWalker(root, NodeFilter.SHOW_ELEMENT | NodeFilter.SHOW_TEXT, each =>
      each.nodeType === 1 && each.matches(SKIP) ? NodeFilter.FILTER_REJECT : NodeFilter.FILTER_ACCEPT);
    while (walker.nextNode()) one(walker.currentNode);
  };
  // Calendars and numbers of tables go by what the browser says of itself; calendars hear when it changes.
  const tongue = %s, say_own = (name, value) =>
    Object.defineProperty(navigator, name, {configurable: true, get: () => value});
  say_own("language", tongue);
  say_own("languages", Object.freeze([tongue]));
  window.dispatchEvent(new Event("languagechange"));
  window.ownLabels?.disconnect();
  all(document.body);
  if (!%s) return;
  window.ownLabels = new MutationObserver(changes => changes.forEach(each =>
    each.type === "childList" ? each.addedNodes.forEach(all) : all(each.target)));
  window.ownLabels.observe(document.body,
    {childList: true, subtree: true, characterData: true, attributes: true, attributeFilter: NAMES});
})();
"""


def apply() -> None:
    """Have the page speak the session's language altogether."""
    russian = language() == "ru"
    words = RUSSIAN if russian else {told: english for english, told in reversed(RUSSIAN.items())}
    patterns = list(PATTERNS.items()) if russian else []
    listed = [pair for each in ("Select all", "No results") for pair in (each, RUSSIAN[each])]
    tongue = "ru-RU" if russian else "en-GB"
    script = _SCRIPT % tuple(json.dumps(each) for each in (words, patterns, listed, tongue, russian))
    with st.container(key="own_labels"):
        st.html(f"<script>{script}</script>", unsafe_allow_javascript=True)
