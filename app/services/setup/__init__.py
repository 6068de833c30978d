"""Prepares an empty database: first administrator, sample data."""
