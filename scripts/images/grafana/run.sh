#!/bin/sh
set -eu
cat "$GF_SECURITY_ADMIN_PASSWORD__FILE" > /dev/null
find /etc/grafana/provisioning /var/lib/grafana-dashboards -type f -exec cat {} + > /dev/null
touch /var/lib/grafana/written
exec busybox httpd -f -p 3000 -h /srv
