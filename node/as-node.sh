#!/usr/bin/env bash
# Runs one command of the node as the service's user, where the key files belong to root: systemd hands them
# to the command as it hands them to the service.
#
#   as-node.sh node ledger --home /var/lib/safeborders/node
#
# Commands that write key files (`node init`, `node renew`) are not for this: see README.md.
set -euo pipefail

readonly keys=/etc/safeborders/node program=/opt/safeborders/current/bin/safeborders
if (($# == 0)); then
  printf 'Error [usage]: there is no command\nFix: as-node.sh node status --home /var/lib/safeborders/node\n' >&2
  exit 2
fi
if ! command -v systemd-run >/dev/null; then
  printf 'Error [no-systemd]: this machine has no systemd-run\nFix: let the key files belong to the user safeborders, and use runuser\n' >&2
  exit 4
fi
given=(--quiet --wait --collect --service-type=exec --working-directory="$PWD"
  --property=User=safeborders --property=Group=safeborders --property=UMask=0077
  --property=NoNewPrivileges=yes --property=LimitCORE=0)
for name in node.key node.key.signing node.key.transport; do
  given+=("--property=LoadCredential=$name:$keys/$name")
done
if [[ -t 0 && -t 1 ]]; then given+=(--pty); else given+=(--pipe); fi
exec systemd-run "${given[@]}" -- "$program" "$@"
