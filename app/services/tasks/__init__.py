"""The life of a task after its assignment, and what is read of it."""
