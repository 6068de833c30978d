"""The edge of the API: every request passes here before a route sees it."""
