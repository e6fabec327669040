# Shell functions with which a client suite installs what it needs: `. "$(dirname "$0")/../lib/install.sh"`.
#
# Invariants
# 1. Everything downloaded or built lives below $ALLUVIUM_CACHE, never in the checkout.
# 2. A second call finds everything in place and asks no registry.
# 3. Two suites may install at the same time: each installation holds its own lock, apt holds one for all.

ALLUVIUM_CACHE="${ALLUVIUM_CACHE:-$HOME/.cache/alluvium}"
export ALLUVIUM_CACHE
mkdir -p "$ALLUVIUM_CACHE/clients"

# report MESSAGE: a line on stderr, so that stdout stays the list of scenarios.
report() { printf '%s: %s\n' "$(basename "$(dirname "$0")")" "$*" >&2; }

# with_lock NAME COMMAND...: runs the command while no other installation of that name runs.
with_lock() {
  _lock_file="$ALLUVIUM_CACHE/clients/$1.lock"
  shift
  (
    flock 9
    "$@"
  ) 9>"$_lock_file"
}

# as_root COMMAND...: runs the command as root, through sudo when we are somebody else.
as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

_apt_install() {
  if ! as_root apt-get install -y --no-install-recommends "$@" >"$ALLUVIUM_CACHE/clients/apt.log" 2>&1; then
    report "apt-get install needs fresh package lists"
    as_root apt-get update >>"$ALLUVIUM_CACHE/clients/apt.log" 2>&1
    as_root apt-get install -y --no-install-recommends "$@" >>"$ALLUVIUM_CACHE/clients/apt.log" 2>&1 || {
      tail -n 5 "$ALLUVIUM_CACHE/clients/apt.log" >&2
      return 1
    }
  fi
}

# apt_install PACKAGE...: installs Debian packages; call it only when something is really absent.
apt_install() {
  report "installing Debian packages: $*"
  DEBIAN_FRONTEND=noninteractive with_lock apt _apt_install "$@"
}

_venv_install() {
  _venv="$1"
  _requirements="$2"
  [ -e "$_venv/complete" ] && return 0
  report "installing $(grep -c == "$_requirements") Python packages into $_venv"
  rm -rf "$_venv"
  if ! python3 -m venv "$_venv" >/dev/null 2>&1; then
    rm -rf "$_venv"
    apt_install python3-venv || return 1
    python3 -m venv "$_venv" || return 1
  fi
  "$_venv/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$_requirements" >&2 || return 1
  touch "$_venv/complete"
}

# venv_for NAME REQUIREMENTS: prints the folder of a virtual environment that holds exactly these requirements.
venv_for() {
  _digest="$(sha256sum "$2" | cut -c 1-12)"
  with_lock "$1-venv" _venv_install "$ALLUVIUM_CACHE/clients/$1/venv-$_digest" "$2" || return 1
  printf '%s\n' "$ALLUVIUM_CACHE/clients/$1/venv-$_digest"
}
