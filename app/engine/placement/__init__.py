"""Decides who receives a task, and explains it."""
