"""Wakes workers: the doorbell on Redis, and which worker serves which pool."""
