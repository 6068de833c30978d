"""HTTP clients of other systems."""
