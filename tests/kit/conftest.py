"""A small kit, as the workshop makes it."""

from tests.workshop.conftest import kit, making

__all__ = ["kit", "making"]
