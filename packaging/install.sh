#!/bin/sh
# Installs Understudy from this checkout: packaging/install.sh [PREFIX]   (default /opt/understudy)
# Needs root and npm. Run it again to update: the service is restarted, applications are not disturbed.
#
# PREFIX is a link to a directory of its own for each installation: group processes that run on keep
# the one they were started from, until a switchover or a restart of theirs.
set -eu
prefix=${1:-/opt/understudy}
prefix=${prefix%/}
source=$(cd "$(dirname "$0")/.." && pwd -P)
links=${UNDERSTUDY_LINKS:-/usr/local/bin}
units=${UNDERSTUDY_UNITS:-/etc/systemd/system}

case $prefix in
  /*) ;;
  *)
    echo "install: write $prefix from the root: links to it are made elsewhere" >&2
    exit 2
    ;;
esac
if [ -e "$prefix" ] && [ ! -L "$prefix" ]; then
  echo "install: $prefix exists and is not a link of a former installation: move it away, or name another place" >&2
  exit 1
fi
target=$prefix-$(date +%Y%m%d%H%M%S)
mkdir -p "$target"
# (tsconfig.json: the console's pages are built by it.)
for part in bin src packaging docs package.json package-lock.json tsconfig.json LICENSE README.md; do
  if [ -e "$source/$part" ]; then cp -R "$source/$part" "$target/"; fi
done
# The console's pages are built with the development dependencies, unless this checkout has them built already.
if [ -e "$target/src/console/web/dist/index.html" ]; then
  (cd "$target" && npm ci --omit=dev --no-audit --no-fund --loglevel=error)
else
  (cd "$target" && npm ci --no-audit --no-fund --loglevel=error && npm prune --omit=dev --no-audit --no-fund --loglevel=error)
fi

# Renaming a link over another is atomic.
ln -sfn "$target" "$prefix.new"
mv -T "$prefix.new" "$prefix"
mkdir -p "$links"
ln -sfn "$prefix/bin/understudy" "$links/understudy"

# Where shells that are installed look for completion; UNDERSTUDY_LINKS elsewhere means: not this machine's.
if [ "$links" = /usr/local/bin ]; then
  for place in bash:/usr/share/bash-completion/completions/understudy \
    zsh:/usr/local/share/zsh/site-functions/_understudy fish:/etc/fish/completions/understudy.fish; do
    file=${place#*:}
    [ -d "$(dirname "$file")" ] || continue
    "$links/understudy" completion "${place%%:*}" >"$file" || rm -f "$file"
  done
fi

if [ -d /run/systemd/system ]; then
  for unit in understudyd understudy-leave; do
    install -D -m 0644 "$prefix/packaging/$unit.service" "$units/$unit.service"
  done
  systemctl daemon-reload
  systemctl enable understudyd
  # (Started is what is stopped when the machine is shut down; restarted, it would hand over.)
  systemctl enable --now understudy-leave
  if [ -e /etc/understudy/node.yaml ]; then systemctl restart understudyd; fi
fi

# Former installations that no process runs from: exactly what this script makes, no copy or backup of somebody's.
# (The pattern goes through a file, or grep finds itself.)
pattern=$(mktemp)
digits='[0-9][0-9][0-9][0-9][0-9][0-9][0-9]'
for old in "$prefix"-$digits$digits; do
  [ -d "$old" ] && [ "$old" != "$target" ] || continue
  echo "$old/" >"$pattern"
  if ! { cat /proc/[0-9]*/cmdline; ls -l /proc/[0-9]*/exe; } 2>/dev/null | grep -aqFf "$pattern"; then
    rm -rf "$old"
  fi
done
rm -f "$pattern"

"$links/understudy" doctor || true
if [ -S /run/understudy/understudyd.sock ]; then
  echo "running groups keep the version before: \"understudy upgrade\" replaces it while applications work"
fi
echo "installed in $target; next: understudy init --name NAME --address ADDRESS"
