"""Takes tasks in: each is committed once before its sender gets an answer."""
