# Makes a cluster of its own in DIRECTORY and serves it until nobody uses it. The same in a container and on the machine.
# usage: BIN DIRECTORY ADDRESS PORT SOCKET SECONDS SETTING...
#   BIN      directory of initdb and postgres with a slash at its end, or empty: on PATH
#   SOCKET   and SECONDS: for end_when_idle
# environment: SUPERUSER_PASSWORD; COPY_OF, if it is to be a physical copy of another server (`host=… port=…`), and
#   STANDBY, if that copy is to go on following it.
set -eu
umask 077
export TZ=UTC # or initdb compares every time zone with the machine's: 4 s on a layered file system
bin=$1 directory=$2 address=$3 port=$4 socket=$5 seconds=$6
shift 6
mkdir -p "$directory"
trap 'rm -rf "$directory"' EXIT
data=$directory/cluster

if [ -n "${COPY_OF-}" ]; then
  "${bin}pg_basebackup" -d "$COPY_OF user=postgres password=$SUPERUSER_PASSWORD" -D "$data" -c fast -X stream --no-sync \
    ${STANDBY:+--write-recovery-conf}
else
  printf '%s\n' "$SUPERUSER_PASSWORD" >"$directory/password"
  "${bin}initdb" -D "$data" -U postgres -A scram-sha-256 --pwfile="$directory/password" --no-sync -E UTF8 --locale=C >&2
  rm "$directory/password"
  printf 'host all all all scram-sha-256\nhost replication all all scram-sha-256\n' >>"$data/pg_hba.conf"
fi

"${bin}postgres" -D "$data" -k "$directory" -c listen_addresses="$address" -p "$port" "$@" >&2 &
# At once: a last checkpoint would write what is about to be deleted.
end_when_idle $! QUIT "$socket" "$seconds" "$data/closing"
