# shellcheck shell=bash
# Sourced by run: starts and stops the parts. What runs is read from the process
# table, not from files: each part is started with a mark in its environment, its
# children inherit it, and it cannot be mistaken for a stranger that got the same
# number. So nothing here breaks when a process or this launcher is killed.
# Reads state; a part's files there are PART.log, PART.pid, and what it was
# started with: PART.port, PART.listen, PART.version.
# shellcheck disable=SC2154

# A cold start takes 2–12 s; a machine that compiles at the same time some times that.
start_seconds=120
# LocalStack takes 3–9 s to stop by itself.
stop_seconds=20
# A log that grew over this is set aside when its part starts.
log_limit_bytes=20000000

# One command at a time for a state folder. The lock ends with the process.
lock() {
  exec 8>"$state/lock"
  flock -n 8 && return
  say "another command works on $state: waiting for it"
  flock -w 900 8 || die "$state/lock has been held for 15 minutes: look with 'fuser $state/lock' and end it"
}

mark() { printf 'MAEL_TEST_LOCALSTACK_PART=%s:%s' "$state" "$1"; }

# members PART: the ids of all its living processes.
members() {
  { grep -lzxF -e "$(mark "$1")" /proc/[0-9]*/environ 2>/dev/null || true; } | cut -d/ -f3
}
is_alive() {
  local pid
  pid=$(cat "$state/$1.pid" 2>/dev/null) && [ -n "$pid" ] && members "$1" | grep -qx "$pid"
}
# recorded PART SETTING: what it was started with, if it lives.
recorded() { is_alive "$1" && cat "$state/$1.$2" 2>/dev/null; }

# start PART COMMAND...: in a session of its own, a clean environment and the state
# folder, so that neither a terminal nor somebody's proxy or AWS settings reach it
# and what it writes beside itself stays there.
start() {
  local part=$1 log=$state/$1.log
  shift
  if [ "$(stat -c %s "$log" 2>/dev/null || echo 0)" -gt $log_limit_bytes ]; then mv "$log" "$log.1"; fi
  printf '\n=== %s: started by localstack/run\n' "$(date -u +%FT%TZ)" >>"$log"
  # 8 is our lock: what runs on must not hold it.
  env -C "$state" -i "$(mark "$part")" PATH="$PATH" HOME="$state" LANG=C.UTF-8 \
    setsid "$@" </dev/null >>"$log" 2>&1 8>&- &
  echo $! >"$state/$part.pid"
}

# within SECONDS COMMAND...: asks until it says yes; fails when the time is over.
within() {
  local end=$((SECONDS + $1))
  shift
  until "$@"; do
    [ $SECONDS -lt $end ] || return 1
    sleep 0.1
  done
}

# wait_for PART PORT: until it answers. Ends early when the process does.
wait_for() {
  local part=$1 port=$2 end=$((SECONDS + start_seconds)) pid
  pid=$(cat "$state/$part.pid")
  until "${part}_answers"; do
    if ! kill -0 "$pid" 2>/dev/null; then
      last_words "$part"
      die "$part ended at once: its last words are above, all of them in $state/$part.log. If they speak of an address in use, choose another port than $port with $(port_variable "$part")"
    fi
    if [ $SECONDS -ge $end ]; then
      last_words "$part"
      stop "$part"
      die "$part was started and does not answer at $(url_of "$part") after $start_seconds s: look at $state/$part.log"
    fi
    sleep 0.1
  done
}
last_words() { tail -n 20 "$state/$1.log" >&2; }

# stop PART: all of its processes, politely, then not.
stop() {
  local part=$1
  none_left() { [ -z "$(members "$part")" ]; }
  if ! none_left; then
    say "stopping $part"
    signal TERM "$part"
    # A frozen process takes no signal but these two.
    signal CONT "$part"
    if ! within $stop_seconds none_left; then
      say "$part did not stop within $stop_seconds s: killing it"
      signal KILL "$part"
      within $stop_seconds none_left || die "$part cannot be killed: process $(members "$part" | xargs)"
    fi
  fi
  rm -f "$state/$part".{pid,port,listen,version}
}
signal() {
  local pid
  for pid in $(members "$2"); do kill -"$1" "$pid" 2>/dev/null || true; done
}

port_is_taken() { (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null || { command -v ss >/dev/null && [ -n "$(ss -Hltn "sport = :$1")" ]; }; }
# Who has the port, where the system tells.
holder_of() {
  local who=
  who=$(ss -Hltnp "sport = :$1" 2>/dev/null | sed -nE 's/.*users:\(\("([^"]+)",pid=([0-9]+).*/\1, process \2/p' | head -n 1) || true
  printf '%s' "${who:+ ($who)}"
}
