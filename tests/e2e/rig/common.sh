# What the scripts of the rig share. To be sourced; it does nothing by itself.
#
# RIG_CACHE holds what is made once (binaries, base images), RIG_STATE what a running rig owns; `down` deletes that.
CACHE=${RIG_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tapedeck/rig}
STATE=${RIG_STATE:-$CACHE/state}
BIN=${RIG_BIN:-$CACHE/bin}
NODE_IP=10.222.0.1 # the rig's end of a cable to this machine
HOST_IP=10.222.0.2 # this machine's end: where pods reach what listens here
HOST_LINK=rig0
POD_CIDR=10.244.0.0/16
SERVICE_CIDR=10.96.0.0/16
export PATH=$BIN:$PATH:/usr/sbin:/sbin

say() { echo "rig: $*"; }
die() {
    say "$*" >&2
    exit 1
}

# The first process of the rig: everything else in it ends with it.
init_pid() {
    local pid
    pid=$(cat "$STATE/init.pid" 2>/dev/null) || return 1
    [ "/proc/$pid/exe" -ef "$BIN/pause" ] && echo "$pid"
}

# Run a command inside the rig.
enter() {
    local pid
    pid=$(init_pid) || die "not up"
    nsenter --target "$pid" --mount --net --pid -- "$@"
}

kubectl_rig() { kubectl --kubeconfig "$STATE/kubeconfig" "$@"; }

# buildah with a storage of its own, and mounts that end with the command.
storage() {
    local command=$1
    shift
    unshare --mount buildah --root "$CACHE/buildah" --runroot "$CACHE/buildah/run" --storage-driver overlay "$command" "$@"
}
