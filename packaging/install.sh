#!/bin/sh
# Installs Understudy from this checkout: packaging/install.sh [PREFIX]   (default /opt/understudy)
# Needs root and npm. Run it again to update: the service is restarted, applications are not disturbed.
set -eu
prefix=${1:-/opt/understudy}
source=$(cd "$(dirname "$0")/.." && pwd -P)
links=${UNDERSTUDY_LINKS:-/usr/local/bin}
units=${UNDERSTUDY_UNITS:-/etc/systemd/system}

next=$prefix.next
rm -rf "$next"
mkdir -p "$next"
for part in bin src packaging docs package.json package-lock.json LICENSE README.md; do
  [ -e "$source/$part" ] && cp -R "$source/$part" "$next/"
done
(cd "$next" && npm ci --omit=dev --no-audit --no-fund --loglevel=error)

# The old installation stays until the new one is whole: running processes have its files open.
rm -rf "$prefix.old"
if [ -d "$prefix" ]; then mv "$prefix" "$prefix.old"; fi
mv "$next" "$prefix"
mkdir -p "$links"
ln -sfn "$prefix/bin/understudy" "$links/understudy"

if [ -d /run/systemd/system ]; then
  install -D -m 0644 "$prefix/packaging/understudyd.service" "$units/understudyd.service"
  systemctl daemon-reload
  systemctl enable understudyd
  if [ -e /etc/understudy/node.yaml ]; then systemctl restart understudyd; fi
fi
"$links/understudy" doctor || true
echo "installed in $prefix; next: understudy init --name NAME --address ADDRESS"
