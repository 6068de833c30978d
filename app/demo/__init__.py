"""Work to show: generated for four domains, or read from an event log, and played over HTTP."""
