"""What rules need to be tried over HTTP."""

from tests.api.conftest import client, pool_id, working

__all__ = ["client", "pool_id", "working"]
