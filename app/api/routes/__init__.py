"""Routers, one per resource: parse, call one service, shape the answer."""
