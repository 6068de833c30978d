"""Texts of the page."""

WORDS: dict[str, tuple[str, str]] = {}
