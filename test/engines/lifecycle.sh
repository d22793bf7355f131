# What the scripts of engines share: packages, ports, processes, and their end. Sourced.
# shellcheck shell=bash

fail() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

# Debian's packages that are not installed, in one line.
need_packages() {
  local missing=() package
  for package; do
    dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed ||
      missing+=("$package")
  done
  ((${#missing[@]} == 0)) ||
    fail "needs Debian's packages: apt-get install --no-install-recommends ${missing[*]}"
}

# Sets FOLDER. Ends the script if only its packages were to be looked for.
open_folder() { # FOLDER | --check
  if [[ ${1:-} == --check ]]; then exit 0; fi
  FOLDER=$(realpath "${1:?the folder for its files}")
}

# So many ports of 127.0.0.1 that nobody listens at.
free_ports() {
  python3 -c '
import socket, sys
held = [socket.create_server(("127.0.0.1", 0)) for _ in range(int(sys.argv[1]))]
print(*(each.getsockname()[1] for each in held))' "$1"
}

pids=()
started=

# Runs a command in the background, with its output in a file. Its pid is in $started.
run_aside() { # NAME COMMAND...
  local name=$1
  shift
  "$@" </dev/null >>"$FOLDER/$name.log" 2>&1 &
  started=$!
  pids+=("$started")
}

# Waits until a command succeeds. The processes that were started must live so long.
await() { # WHAT COMMAND...
  local what=$1 pid try
  shift
  for ((try = 0; try < 600; try++)); do
    if "$@" >/dev/null 2>&1; then return 0; fi
    for pid in "${pids[@]}"; do
      kill -0 "$pid" 2>/dev/null || tell_logs "a process ended before $what"
    done
    sleep 0.1
  done
  tell_logs "waited a minute for: $what"
}

tell_logs() {
  tail -n 5 "$FOLDER"/*.log >&2 || true
  fail "$1"
}

listens_at() {
  (exec 3<>"/dev/tcp/127.0.0.1/$1")
}

# Ends all that was started, the last first.
stop_all() {
  local index
  for ((index = ${#pids[@]} - 1; index >= 0; index--)); do
    kill -KILL "${pids[index]}" 2>/dev/null || true
    wait "${pids[index]}" 2>/dev/null || true
  done
}
trap stop_all EXIT
trap 'exit 143' TERM INT HUP

# Tells where the engine is, and serves until its standard input ends. The line "kill" ends what serves S3 as a crash
# would, and "start" starts it again: each is answered by the same line.
serve() { # PORT ACCESS SECRET VERSION
  printf 'endpoint http://127.0.0.1:%s\naccess %s\nsecret %s\nversion %s\nready\n' "$@"
  local line
  while read -r line; do
    case $line in
      kill) stop_front ;;
      start) start_front ;;
      *) fail "no such command: $line" ;;
    esac
    printf '%s\n' "$line"
  done
}

stop_front() {
  local left=() pid
  for pid in "${pids[@]}"; do
    if [[ $pid != "$front" ]]; then left+=("$pid"); fi
  done
  kill -KILL "$front"
  wait "$front" 2>/dev/null || true
  pids=("${left[@]}")
}
