#!/bin/sh
# The file worker as an application that a node starts, stops and looks after:
#
#   files-agent.sh start|stop|probe NODE DIRECTORY SEED LOG-DIRECTORY
set -u
action=$1 node=$2 directory=$3 seed=$4 logs=$5
here=$(cd "$(dirname "$0")" && pwd -P)
pidfile=/run/files-worker.pid

running() {
  pid=$(cat "$pidfile" 2>/dev/null) || return 1
  { tr '\0' ' ' <"/proc/$pid/cmdline"; } 2>/dev/null | grep -q "torture/files-worker.ts $directory "
}

case $action in
  start)
    running && exit 0
    setsid "$node" "$here/files-worker.ts" "$directory" "$seed" "$logs/files-worker.jsonl" \
      </dev/null >>"$logs/files-worker.log" 2>&1 &
    echo "$!" >"$pidfile"
    ;;
  stop)
    running || exit 0
    kill -KILL "$pid" 2>/dev/null
    left=100
    while running; do
      [ "$left" -gt 0 ] || exit 1
      left=$((left - 1))
      sleep 0.05
    done
    ;;
  probe) running ;;
  *)
    echo "usage: files-agent.sh start|stop|probe NODE DIRECTORY SEED LOGS" >&2
    exit 2
    ;;
esac
