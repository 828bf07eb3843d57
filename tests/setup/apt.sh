# shellcheck shell=bash
# Sourced by the scripts beside it: what they all say and how they install
# Debian packages. Nothing here runs on its own.

say() { printf 'setup: %s\n' "$*" >&2; }
die() {
  printf 'setup: error: %s\n' "$*" >&2
  exit 1
}

# Two set-ups at once would fight over apt and start two engines: one waits here
# for the other. The lock goes with the process, so a killed run leaves nothing.
setup_lock() {
  exec 9>"${TMPDIR:-/tmp}/maelstrom-setup.$(id -u).lock"
  flock -n 9 && return
  say "another set-up is running: waiting for it"
  flock -w 600 9 || die "another set-up has held $(readlink /proc/self/fd/9) for 10 minutes: look at it with 'fuser' and end it"
}

# apt_install WHY PACKAGE...: installs without starting any service that a package brings.
apt_install() {
  local why=$1 policy=/usr/sbin/policy-rc.d own_policy=
  shift
  command -v apt-get >/dev/null || die "$why is missing and this is not a Debian: install it yourself ($*)"
  [ "$(id -u)" = 0 ] || die "$why is missing: run as root, or 'sudo apt-get install --no-install-recommends $*'"
  say "installing $* from the distribution"
  if [ ! -e "$policy" ]; then
    # nginx and dockerd would otherwise come up at once, on ports of their own.
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod +x "$policy" && own_policy=1
  fi
  local done_=
  if apt_get install "$@"; then
    done_=1
  else
    say "not found in the package lists as they are: refreshing them"
    { apt_get_update && apt_get install "$@"; } && done_=1
  fi
  if [ -n "$own_policy" ]; then
    rm -f "$policy"
    trap - EXIT
  fi
  [ -n "$done_" ] || die "apt-get could not install $*: its own message is above"
}

apt_get() {
  DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends \
    -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 "$@" >&2
}

apt_get_update() { apt-get -qq -o DPkg::Lock::Timeout=300 update >&2; }
