"""Starts the whole system on one machine; knows nothing of services."""
