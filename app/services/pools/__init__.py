"""Pools, their parameter catalogues and settings."""
