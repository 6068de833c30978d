"""Prepares the database: schema, default pool, first admin. See `python init_db.py --help`."""

import sys

from app.commands.init_db import main

if __name__ == "__main__":
    sys.exit(main())
