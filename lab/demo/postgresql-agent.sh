#!/bin/sh
# PostgreSQL as an application that a node starts, stops and looks after:
#
#   postgresql-agent.sh start|stop|probe DIRECTORY-OF-PROGRAMS DATA-DIRECTORY
set -u
action=$1 bin=$2 data=$3
as_postgres() { setpriv --reuid=postgres --regid=postgres --init-groups -- env HOME=/ "$@"; }

case $action in
  start)
    as_postgres "$bin/pg_ctl" status -D "$data" >/dev/null 2>&1 && exit 0
    # Names a process of the server that lost its power: whoever starts it here knows that it is gone.
    rm -f "$data/postmaster.pid"
    as_postgres setsid "$bin/postgres" -D "$data" </dev/null &
    left=1200
    until as_postgres "$bin/pg_isready" --quiet; do
      [ "$left" -gt 0 ] || exit 1
      left=$((left - 1))
      sleep 0.05
    done
    ;;
  stop)
    as_postgres "$bin/pg_ctl" status -D "$data" >/dev/null 2>&1 || exit 0
    as_postgres "$bin/pg_ctl" stop -D "$data" --mode fast --timeout 10 --silent ||
      as_postgres "$bin/pg_ctl" stop -D "$data" --mode immediate --timeout 10 --silent
    ;;
  probe) as_postgres "$bin/pg_isready" --quiet --timeout 2 ;;
  *)
    echo "usage: postgresql-agent.sh start|stop|probe PROGRAMS DATA" >&2
    exit 2
    ;;
esac
