"""The present state of the system: overview, event stream, notifications, gauges, health."""
