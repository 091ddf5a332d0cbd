#!/bin/sh
# Stand-in for systemctl(1) on a machine without systemd: units are files in $STAND_IN_UNITS that hold
# "ActiveState UnitFileState"; "start" of a unit whose name has "broken" in it fails.
set -u
verb=$1
for unit do :; done
file=$STAND_IN_UNITS/$unit
case $verb in
  show)
    if [ ! -e "$file" ]; then
      printf 'LoadState=not-found\nActiveState=inactive\nSubState=dead\nUnitFileState=\n'
      exit 0
    fi
    read -r active enabled <"$file"
    printf 'LoadState=loaded\nActiveState=%s\nSubState=%s\nUnitFileState=%s\nMainPID=1\nNRestarts=2\nResult=exit-code\n' \
      "$active" "$active" "$enabled"
    ;;
  start | stop)
    read -r active enabled <"$file" || exit 5
    case $unit in *broken*) echo "Job for $unit failed." >&2 && exit 1 ;; esac
    case $verb in start) active=active ;; stop) active=inactive ;; esac
    echo "$active $enabled" >"$file"
    ;;
  *) exit 2 ;;
esac
