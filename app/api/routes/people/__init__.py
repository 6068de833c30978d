"""Routes of executors."""
