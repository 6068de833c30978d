"""Routes of users, keys and signing in."""
