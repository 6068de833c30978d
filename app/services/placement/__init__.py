"""Places waiting tasks: snapshot of the pool, decision in memory, one transaction that writes it."""
