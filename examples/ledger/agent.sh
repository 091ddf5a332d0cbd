#!/bin/sh
# The ledger as an application that somebody else starts, stops and looks after:
#
#   agent.sh start DIRECTORY PORT    returns when it serves
#   agent.sh stop  DIRECTORY PORT    returns when it is gone; by force if it does not listen
#   agent.sh probe DIRECTORY PORT    exit code 0 while it answers
#
# All three may be repeated. The number of the process is in /run, so it does not outlive the power.
# LEDGER_NODE names the Node.js to run it with.
set -u
action=$1 data=$2 port=$3
here=$(cd "$(dirname "$0")" && pwd -P)
pidfile=/run/ledger-$port.pid
node=${LEDGER_NODE:-$here/../../node_modules/.bin/node}
# Starts in two thirds of the time.
: "${NODE_COMPILE_CACHE=/var/cache/understudy}"
export NODE_COMPILE_CACHE

# Not only alive, but this very program: numbers are used again.
running() {
  pid=$(cat "$pidfile" 2>/dev/null) || return 1
  { tr '\0' ' ' <"/proc/$pid/cmdline"; } 2>/dev/null | grep -q "ledger/main.ts --data $data "
}

answers() {
  curl --silent --fail --output /dev/null --max-time "$1" "http://127.0.0.1:$port/health"
}

# within TIMES COMMAND...: tries every 50 ms until the command succeeds.
within() {
  left=$1
  shift
  until "$@"; do
    [ "$left" -gt 0 ] || return 1
    left=$((left - 1))
    sleep 0.05
  done
}

gone() { ! running; }

# It serves, or it has ended already.
decided() { answers 1 || ! kill -0 "$pid" 2>/dev/null; }

case $action in
  start)
    if running; then
      answers 1 && exit 0
      kill -KILL "$pid" 2>/dev/null
      within 100 gone || exit 1
    fi
    setsid "$node" "$here/main.ts" --data "$data" --port "$port" </dev/null &
    pid=$!
    echo "$pid" >"$pidfile"
    within 400 decided
    answers 1
    ;;
  stop)
    running || exit 0
    kill -TERM "$pid" 2>/dev/null
    within 40 gone && exit 0
    kill -KILL "$pid" 2>/dev/null
    within 100 gone
    ;;
  # A commit may wait for a lost standby for 2 s, and everything behind it.
  probe) answers 4 ;;
  *)
    echo "usage: agent.sh start|stop|probe DIRECTORY PORT" >&2
    exit 2
    ;;
esac
