"""Connections to other systems: PostgreSQL, Redis, and by HTTP."""
