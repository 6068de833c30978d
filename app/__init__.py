"""Executor Balancer: decides who does the next piece of work."""

from importlib.metadata import version

__version__ = version("executor-balancer")
