"""Delivers decisions to the external system and to webhooks."""
