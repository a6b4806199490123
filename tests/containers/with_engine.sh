#!/usr/bin/env bash
# Runs a command with a Docker engine and a base image for `make image`, and restores the machine afterwards:
#   tests/containers/with_engine.sh COMMAND…
# If an engine answers, it is used. Otherwise the script installs Debian's packages if necessary, and starts an engine
# with its own data and socket and without a bridge or firewall rules. It stops the engine by its process id.
# If the public base image cannot be pulled, the script builds one from Debian packages.
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=$(mktemp -d)
engine=

say() { printf -- '--- %s (%s s)\n' "$1" "$SECONDS" >&2; }

install() {
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "error: a Docker engine must answer, or this must be root on Debian to install one." >&2
    exit 2
  fi
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# Prints everything that an engine could change on the machine and leave behind.
machine() {
  ls /sys/class/net
  cat /proc/sys/net/ipv4/ip_forward
  grep -F -e docker -e "$folder" /proc/mounts || true
  if command -v iptables-save >/dev/null; then iptables-save | grep -v '^#' || true; fi
}

stop() {
  status=$?
  trap - EXIT
  if [ -n "$engine" ]; then
    say 'Stopping the engine'
    kill "$engine" 2>/dev/null && wait "$engine" || true
    # The engine leaves the mount of the machine's own network namespace, which containers with --network host use.
    grep -F " $folder/" /proc/mounts | cut -d ' ' -f 2 | xargs --no-run-if-empty umount || true
    if [ "$(machine)" != "$before" ]; then
      diff <(echo "$before") <(machine) >&2 || true
      echo "error: the engine must leave the machine as it was." >&2
      status=1
    fi
  fi
  rm -rf --one-file-system "$folder"
  exit "$status"
}

if ! docker info >/dev/null 2>&1; then
  if ! command -v dockerd >/dev/null || ! command -v docker >/dev/null; then
    say 'Installing a Docker engine'
    install docker.io containerd runc iptables
  fi
  say 'Starting the engine'
  before=$(machine)
  trap stop EXIT
  dockerd --data-root "$folder/data" --exec-root "$folder/exec" --pidfile "$folder/docker.pid" \
    --host "unix://$folder/docker.sock" --bridge=none --iptables=false --ip6tables=false --ip-forward=false \
    --ip-masq=false >"$folder/log" 2>&1 &
  engine=$!
  export DOCKER_HOST="unix://$folder/docker.sock"
  for _ in $(seq 100); do
    docker info >/dev/null 2>&1 && break
    kill -0 "$engine" 2>/dev/null || { cat "$folder/log" >&2; exit 1; }
    sleep 0.2
  done
  docker info >/dev/null
  BUILD_OPTIONS="${BUILD_OPTIONS:-} --network host"
else
  trap stop EXIT
fi

if ! docker pull --quiet "$(sed -n 's/^ARG BASE_IMAGE=//p' Dockerfile)" 2>/dev/null; then
  say 'Making the base image from Debian packages'
  command -v mmdebstrap >/dev/null || install mmdebstrap
  authorities=/etc/ssl/certs/ca-certificates.crt # includes authorities that only this machine trusts, for its package mirror
  mmdebstrap --quiet --variant=minbase --include=python3,python3-venv,ca-certificates \
    --customize-hook="upload $authorities $authorities" bookworm - 2>"$folder/mmdebstrap.log" |
    docker import -c "ENV SSL_CERT_FILE=$authorities PIP_CERT=$authorities" - gan-pipeline-base:debian >/dev/null ||
    { cat "$folder/mmdebstrap.log" >&2; exit 1; }
  BUILD_OPTIONS="${BUILD_OPTIONS:-} --build-arg BASE_IMAGE=gan-pipeline-base:debian"
fi
export BUILD_OPTIONS="${BUILD_OPTIONS:-}"
say "Running: $*"
"$@"
