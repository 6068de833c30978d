"""Finds the waiting tasks that an event may have made room for."""
