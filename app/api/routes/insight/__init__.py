"""Routes of figures and live events."""
