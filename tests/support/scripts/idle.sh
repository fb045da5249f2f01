# Ends a server that nobody uses any more, so that nothing is left behind by a test process that panicked, was killed or
# lost its power. Needs /proc, and of programs cat, grep and sleep. No SQL: tests that read pg_stat_activity see none of it.

# connected SOCKET: is a client connected to it? SOCKET is the end of a local address as /proc/net/tcp writes it.
connected() { cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | grep -q "$1 [0-9A-F]*:[0-9A-F]* 01 "; }

# end_when_idle PID SIGNAL SOCKET SECONDS CLOSING: waits for PID, and sends it SIGNAL once nobody was connected for SECONDS.
# The file CLOSING is written before the last look, and a client that connects looks for it afterwards: one of the two
# sees the other, so no client is left with a server that is about to go.
end_when_idle() {
  quiet=0
  server=$1 signal=$2
  trap 'kill "-$signal" "$server"' INT TERM
  while sleep 1 && kill -0 "$1" 2>/dev/null; do
    if connected "$3"; then quiet=0; else quiet=$((quiet + 1)); fi
    [ "$quiet" -ge "$4" ] || continue
    : >"$5"
    if connected "$3"; then
      rm -f "$5"
      quiet=0
    else
      kill "-$2" "$1"
      break
    fi
  done
  wait "$1" || true
}
