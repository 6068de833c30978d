#!/bin/sh
# A browser for the dashboard's tests: Debian's own, where this may be installed. Never fails: the tests say what is missing.
for name in chromium chromium-browser google-chrome; do
	if command -v "$name" >/dev/null 2>&1; then exit 0; fi
done
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
	echo "installing chromium for the dashboard's tests"
	{ apt-get install -y --no-install-recommends chromium ||
		{ apt-get update && apt-get install -y --no-install-recommends chromium; }; } >/dev/null 2>&1 && exit 0
fi
echo "no chromium here: the dashboard's tests in a browser will be left out (apt-get install chromium)"
