#!/bin/sh
# Starts PostgreSQL as the service `postgres` of docker-compose.yaml, by the image's own entrypoint.
# A data directory that is there already gets the role `postgres` and its password first, in single-user mode, which
# asks for no password: older checkouts made their volume without that role, and `.secrets` may have been made anew.
# A new data directory gets them from the entrypoint.
set -eu

if [ -s "$PGDATA/PG_VERSION" ]; then
    report=/tmp/superuser.log
    if ! postgres --single -D "$PGDATA" postgres < /docker-entrypoint-initdb.d/superuser.sql > "$report" 2>&1 \
        || grep -qE '(ERROR|FATAL|PANIC):' "$report"; then
        grep -E '(ERROR|FATAL|PANIC):' "$report" >&2 || cat "$report" >&2
        echo "The role postgres cannot be prepared in $PGDATA; see above." >&2
        exit 1
    fi
fi
exec docker-entrypoint.sh postgres -c config_file=/etc/executor-balancer/postgresql.conf
