"""Real PostgreSQL and Redis for a machine that has none.

The programs come from wheels (the `embedded` extra) or, for Redis, from PATH; starting, watching and stopping
them is ours. Both listen on loopback only, behind a password made up on the first start.
"""

from app.local.embedded.data import EmbeddedError, default_data_directory, free_port, temporary_directory
from app.local.embedded.postgresql import Durability
from app.local.embedded.servers import Addresses, EmbeddedServers, running_addresses

__all__ = [
    "Addresses",
    "Durability",
    "EmbeddedError",
    "EmbeddedServers",
    "default_data_directory",
    "free_port",
    "running_addresses",
    "temporary_directory",
]
