"""Executor Balancer: decides who does the next piece of work."""
