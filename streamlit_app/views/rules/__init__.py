"""Pages of rule sets."""
