# Variables and functions of the rig's scripts, to be sourced.
#
# RIG_CACHE holds binaries and base images, RIG_STATE the state of a running rig, which `down` deletes.
CACHE=${RIG_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tapedeck/rig}
STATE=${RIG_STATE:-$CACHE/state}
BIN=${RIG_BIN:-$CACHE/bin}
BASE_IMAGE=docker.io/library/python:3.13-slim # stands for the one that Dockerfiles name with its digest
NODE_IP=10.222.0.1 # the rig's end of the veth pair
HOST_IP=10.222.0.2 # this machine's end, which pods reach
HOST_LINK=rig0
POD_CIDR=10.244.0.0/16
SERVICE_CIDR=10.96.0.0/16
export PATH=$BIN:$PATH:/usr/sbin:/sbin

say() { echo "rig: $*"; }
die() {
    say "$*" >&2
    exit 1
}

# The first process of the rig; the others end with it.
init_pid() {
    local pid
    pid=$(cat "$STATE/init.pid" 2>/dev/null) || return 1
    [ "/proc/$pid/exe" -ef "$BIN/pause" ] && echo "$pid"
}

# Run a command inside the rig.
enter() {
    local pid
    pid=$(init_pid) || die "the rig is not running: run tests/e2e/rig/up"
    nsenter --target "$pid" --mount --net --pid -- "$@"
}

kubectl_rig() { kubectl --kubeconfig "$STATE/kubeconfig" "$@"; }

# buildah with its own storage, and mounts that end with the command.
storage() {
    local command=$1
    shift
    unshare --mount buildah --root "$CACHE/buildah" --runroot "$CACHE/buildah/run" --storage-driver overlay "$command" "$@"
}
