#!/usr/bin/env bash
# Installs SafeBorders Federated from a signed bundle, on a machine without a network.
#
# Guarantees: nothing is installed that the release key did not sign, and every wheel has the hash that was
# signed; what is checked is a private copy, so nobody changes it in between. A version becomes current in one
# step, after it has run once; the one before stays for --rollback. Only the prefix is written: no node's or
# coordinator's data, ledger, keys or settings, and no service.
set -euo pipefail
umask 022
unset PYTHONPATH PYTHONHOME PYTHONSTARTUP # of whoever runs this: they are no part of the bundle
export LC_ALL=C PATH="${PATH:-/usr/sbin:/usr/bin:/sbin:/bin}"

readonly MARKER=.safeborders-prefix
prefix=/opt/safeborders
role=node
python=
bundle=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
fingerprint=
action=install
downgrade=no
staging=

usage() {
  cat <<'TEXT'
Install SafeBorders Federated from a signed bundle, without a network.

  safeborders-install.sh --fingerprint HEX [--role node|coordinator] [--bundle DIR]
                         [--prefix DIR] [--python PATH] [--allow-downgrade]
  safeborders-install.sh --rollback [--prefix DIR]
  safeborders-install.sh --list     [--prefix DIR]
  safeborders-install.sh --prune    [--prefix DIR]

  --fingerprint HEX   fingerprint of the release key, as you got it by another way than the bundle
  --role ROLE         what this machine is: node (default) or coordinator (which also makes reports)
  --bundle DIR        the bundle (default: the directory of this script)
  --prefix DIR        where versions go (default: /opt/safeborders); any directory of yours without root
  --python PATH       the Python to use (default: the bundle's minor version, from PATH)
  --allow-downgrade   install a version older than the current one
  --rollback          make the version before the current one again
  --list              show the installed versions
  --prune             remove all versions but the current one and the one before

Exit codes: 0 done, 2 usage, 4 your machine or directories, 5 refused: signature, checksum or downgrade.
TEXT
}

fail() { # exit code, error code, cause, fix
  printf 'Error [%s]: %s\nFix: %s\n' "$2" "$3" "$4" >&2
  exit "$1"
}

clean_up() {
  if [[ -n $staging ]]; then rm -rf -- "$staging"; fi
}
trap clean_up EXIT

need() { # program, package
  command -v "$1" >/dev/null || fail 4 program-missing "$1 is not installed" "install Debian's package $2 from your system's media"
}

parse() {
  while (($#)); do
    case $1 in
      --help | -h) usage; exit 0 ;;
      --rollback | --list | --prune) action=${1#--} ;;
      --allow-downgrade) downgrade=yes ;;
      --fingerprint | --role | --bundle | --prefix | --python)
        (($# > 1)) || fail 2 usage "$1 needs a value" "see safeborders-install.sh --help"
        printf -v "${1#--}" '%s' "$2"
        shift
        ;;
      *) fail 2 usage "unknown option $1" "see safeborders-install.sh --help" ;;
    esac
    shift
  done
  [[ $role == node || $role == coordinator ]] || fail 2 usage "there is no role $role" "give --role node or --role coordinator"
}

open_prefix() {
  if [[ -d $prefix && ! -e $prefix/$MARKER && -n $(ls -A -- "$prefix") ]]; then
    fail 4 prefix-in-use "$prefix holds other things" "choose a new or empty directory with --prefix; never a node's own directory"
  fi
  if ! mkdir -p -- "$prefix/versions" "$prefix/bin" 2>/dev/null || ! touch -- "$prefix/$MARKER" 2>/dev/null; then
    fail 4 prefix-unwritable "this user may not write to $prefix" "run it as root, or choose a directory of yours with --prefix"
  fi
  prefix=$(cd "$prefix" && pwd -P)
  exec 9>"$prefix/.lock"
  flock --nonblock 9 || fail 4 install-busy "another installation is at work in $prefix" "wait until it has ended"
}

linked() { # name of a link: the version that it names, or nothing
  local target
  target=$(readlink -- "$prefix/$1") || return 0
  printf '%s' "${target##*/}"
}

link() { # version, name of the link; in one step
  ln -sfn -- "versions/$1" "$prefix/.$2.new"
  mv -fT -- "$prefix/.$2.new" "$prefix/$2"
}

switch_to() {
  local before
  before=$(linked current)
  if [[ -n $before && $before != "$1" ]]; then link "$before" previous; fi
  link "$1" current
  ln -sfn ../current/bin/safeborders "$prefix/bin/safeborders"
  sync -f "$prefix"
}

stage() { # copies the bundle to where nobody else can change it
  [[ -f $bundle/SHA256SUMS ]] || fail 4 not-a-bundle "$bundle holds no SHA256SUMS" "give the bundle's directory with --bundle"
  staging=$(mktemp -d -- "$prefix/.staging.XXXXXXXX")
  cp -RP -- "$bundle/." "$staging/" || fail 4 copy-failed "the bundle cannot be copied to $prefix" "free space there: the bundle and three times its size"
}

check_signature() {
  local found wanted=${fingerprint,,}
  wanted=${wanted//[: ]/}
  [[ $wanted =~ ^[0-9a-f]{64}$ ]] || fail 2 usage "--fingerprint is missing or is not 64 hexadecimal digits" "ask the people who released the bundle for it, by telephone or in person"
  found=$(openssl pkey -pubin -in "$staging/release.pub" -outform DER 2>/dev/null | sha256sum | cut -d ' ' -f 1) || found=none
  [[ $found == "$wanted" ]] || fail 5 wrong-release-key "the bundle's key has the fingerprint $found, not the one that you gave" "compare it with the people who released it; if it differs, throw the bundle away and tell them"
  openssl pkeyutl -verify -pubin -inkey "$staging/release.pub" -rawin -in "$staging/SHA256SUMS" \
    -sigfile "$staging/SHA256SUMS.sig" >/dev/null 2>&1 ||
    fail 5 bad-signature "SHA256SUMS is not what the release key signed" "fetch the bundle again; if it stays so, tell the people who released it"
}

check_files() {
  local odd
  odd=$(find "$staging" ! -type f ! -type d -print -quit)
  [[ -z $odd ]] || fail 5 bundle-altered "${odd#"$staging"/} is no ordinary file" "fetch the bundle again"
  (cd "$staging" && sha256sum --check --strict --quiet SHA256SUMS >/dev/null 2>&1) ||
    fail 5 bundle-altered "a file is missing or is not what was signed: $(cd "$staging" && sha256sum --check --quiet SHA256SUMS 2>/dev/null | head -n 1)" "fetch the bundle again"
  odd=$(comm -13 <(cut -c 67- "$staging/SHA256SUMS" | sort) \
    <(cd "$staging" && find . -type f -printf '%P\n' | grep -vxE 'SHA256SUMS(\.sig)?' | sort) | head -n 1)
  [[ -z $odd ]] || fail 5 bundle-altered "$odd was added to the bundle" "fetch the bundle again"
}

fact() { sed -n "s/^$1=//p" "$staging/BUNDLE"; }

check_machine() {
  local wanted machine
  wanted=$(fact python)
  machine=$(fact machine)
  [[ $(uname -m) == "$machine" ]] || fail 4 wrong-machine "the bundle is for $machine, this is $(uname -m)" "ask for a bundle for this kind of machine"
  python=${python:-$(command -v "python$wanted" || command -v python3 || true)}
  [[ -n $python && $("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) == "$wanted" ]] ||
    fail 4 wrong-python "the bundle needs Python $wanted" "install Debian's python$wanted, or name it with --python"
  "$python" -c 'import venv, ensurepip' 2>/dev/null ||
    fail 4 python-incomplete "this Python cannot make virtual environments" "install Debian's python$wanted-venv from your system's media"
}

check_order() { # version
  local current
  current=$(linked current)
  if [[ -n $current && $current != "$1" && $downgrade == no && $(printf '%s\n' "$current" "$1" | sort -V | tail -n 1) == "$current" ]]; then
    fail 5 downgrade "version $1 is older than $current, which is installed" "use --rollback to go back to the version before, or --allow-downgrade if an older one is really meant"
  fi
}

make_version() { # directory; it becomes whole, or is made anew next time
  rm -rf -- "$1"
  "$python" -m venv "$1" || fail 4 python-incomplete "no virtual environment can be made in $1" "see what Python said above"
  env -i PATH="$PATH" HOME="$staging" PIP_CONFIG_FILE=/dev/null "$1/bin/python" -m pip install --isolated --quiet \
    --disable-pip-version-check --no-cache-dir --no-index --find-links "$staging/wheels" --only-binary :all: \
    --require-hashes --requirement "$staging/requirements-$role.txt" ||
    fail 4 install-failed "the wheels could not be installed" "free space in $prefix, and see what pip said above"
  "$1/bin/python" -m pip --disable-pip-version-check check >/dev/null ||
    fail 4 install-failed "the installed packages do not fit together" "fetch the bundle again; if it stays so, tell the people who released it"
  [[ $("$1/bin/safeborders" --version) == "safeborders ${1##*/}" ]] ||
    fail 4 install-failed "the installed program does not run" "run $1/bin/safeborders --version to see why"
  cp -R -- "$staging/deploy" "$staging/safeborders-install.sh" "$staging/sbom.cdx.json" "$1/"
  printf '%s\n' "$role" >"$1/.role"
  sha256sum <"$staging/SHA256SUMS" | cut -d ' ' -f 1 >"$1/.complete.new"
  sync -f "$1"
  mv -f -- "$1/.complete.new" "$1/.complete"
}

install() {
  local version target sums
  need openssl openssl
  need flock util-linux
  open_prefix
  stage
  check_signature
  check_files
  check_machine
  version=$(fact version)
  [[ $version =~ ^[0-9]+\.[0-9]+\.[0-9]+$ ]] || fail 5 bundle-altered "the bundle names no version" "fetch the bundle again"
  check_order "$version"
  target=$prefix/versions/$version
  sums=$(sha256sum <"$staging/SHA256SUMS" | cut -d ' ' -f 1)
  if [[ -e $target/.complete ]]; then
    [[ $(<"$target/.complete") == "$sums" ]] || fail 5 version-differs "another bundle of version $version is installed" "ask the people who released them which one holds"
    [[ $(<"$target/.role") == "$role" ]] || fail 5 version-differs "version $version is installed for the role $(<"$target/.role")" "choose another --prefix for the role $role"
  else
    make_version "$target"
  fi
  switch_to "$version"
  printf 'Version %s is installed for the role %s: %s/bin/safeborders\n' "$version" "$role" "$prefix"
  printf 'A running service goes on with the version that it started with: restart it now.\n'
}

rollback() {
  local before
  open_prefix
  before=$(linked previous)
  [[ -n $before && -e $prefix/versions/$before/.complete ]] || fail 4 nothing-before "no version before the current one is installed in $prefix" "install the version that you want from its bundle"
  switch_to "$before"
  printf 'Version %s is current again. Restart the service now.\n' "$before"
}

list() {
  local version mark
  open_prefix
  for version in "$prefix"/versions/*/.complete; do
    [[ -e $version ]] || continue
    version=$(basename "$(dirname "$version")")
    mark=
    if [[ $version == "$(linked current)" ]]; then mark=' current'; fi
    if [[ $version == "$(linked previous)" ]]; then mark=' previous'; fi
    printf '%s %s%s\n' "$version" "$(<"$prefix/versions/$version/.role")" "$mark"
  done
}

prune() {
  local version
  open_prefix
  for version in "$prefix"/versions/*; do
    version=${version##*/}
    if [[ $version != "$(linked current)" && $version != "$(linked previous)" && $version != '*' ]]; then
      rm -rf -- "$prefix/versions/$version"
      printf 'Removed %s\n' "$version"
    fi
  done
}

parse "$@"
"$action"
