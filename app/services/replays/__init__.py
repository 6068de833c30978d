"""Replays a pool's own history under other rules."""
