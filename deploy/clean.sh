#!/bin/sh
# Deletes what the stack made: var/, the server's folder outside the checkout if there is one, .venv.
set -eu
cd "$(dirname "$0")/.."
if [ -f var/postgres.home ]; then
    home=$(cat var/postgres.home)
    case "$home" in
        /var/lib/tenant-analytics-*) rm -rf "$home" ;;
    esac
fi
rm -rf var .venv
