"""Executor Balancer: decides who does the next piece of work."""

__version__ = "0.1.0"
