"""Commands of `executor-balancer` with rooms of their own; `app.cli` registers them."""
