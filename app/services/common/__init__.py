"""What several packages of services stand on: rows as domain values, the pool's lock, counters, channels."""
