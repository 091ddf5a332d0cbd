#!/bin/sh
# The agent "AGENT_NAME": called with one word, answers with its exit code (OCF resource agent API).
# Parameters of the group's YAML are in the environment: "port: 8080" is $OCF_RESKEY_port.
#
#   0 done, or it runs   7 it does not run   1 failed   5 something is not installed   6 not configured
#
# What it prints to standard error last is the sentence that an operator reads.
pidfile=$HA_RSCTMP/pid
program=$OCF_RESKEY_program

# R, S, T (stopped by a signal), Z (dead, and nobody has looked yet), …; empty without a process.
state() { [ -s "$pidfile" ] && sed 's/.*) \(.\).*/\1/' "/proc/$(cat "$pidfile")/stat" 2>/dev/null; }
runs() { case $(state) in '' | Z) return 1 ;; esac; }

case $1 in
start)
  runs && exit 0
  # Detached, or it would end together with this script.
  setsid sh -c 'echo $$ >"$0"; exec '"$program" "$pidfile" </dev/null &
  for _ in 1 2 3 4 5 6 7 8 9 10; do
    sleep 0.1
    runs && exit 0
  done
  echo "$program did not start" >&2
  exit 1
  ;;
stop)
  runs || exit 0
  pid=$(cat "$pidfile")
  kill "$pid"
  # A stopped process hears nothing but this.
  kill -CONT "$pid" 2>/dev/null
  for _ in $(seq 100); do
    runs || exit 0
    sleep 0.1
  done
  kill -KILL "$pid"
  sleep 0.2
  ! runs
  ;;
monitor)
  if ! runs; then
    echo "$program does not run" >&2
    exit 7
  fi
  [ "$(state)" = T ] && { echo "$program is stopped by a signal" >&2; exit 1; }
  echo "$program runs" >&2
  ;;
validate-all)
  [ -n "$program" ] || { echo "the parameter \"program\" is missing" >&2; exit 6; }
  ;;
meta-data)
  cat <<XML
<?xml version="1.0"?>
<resource-agent name="AGENT_NAME">
<version>1.0</version>
<shortdesc lang="en">Keeps a program running</shortdesc>
<parameters>
<parameter name="program" required="1"><content type="string"/></parameter>
</parameters>
</resource-agent>
XML
  ;;
*)
  echo "unknown action $1" >&2
  exit 3
  ;;
esac
