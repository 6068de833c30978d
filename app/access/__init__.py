"""Roles, credentials and identity providers."""
