"""The house of tests/access: an API that asks for credentials, with two pools in it."""

from tests.access.conftest import house

__all__ = ["house"]
