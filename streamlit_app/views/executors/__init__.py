"""Pages of executors."""
