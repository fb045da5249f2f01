# Serves DIRECTORY/pgbouncer.ini until nobody uses it.
# usage: PROGRAM DIRECTORY SOCKET SECONDS (for end_when_idle)
set -eu
directory=$2
closing=$(mktemp) # not in a container's DIRECTORY, which is root's
trap 'rm -rf "$directory" "$closing" 2>/dev/null' EXIT
"$1" "$2/pgbouncer.ini" >&2 &
end_when_idle $! TERM "$3" "$4" "$closing"
