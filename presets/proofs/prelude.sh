# What every proof begins with. Given: HARDRUN (the program), ROOT (its state), PRESET, IMAGE, WORK (an empty folder),
# FLAGS (more words for each run). The first argument says which half is wanted.
set -eu
cd "$WORK"
own="preset-proof-$$"

hr() { "$HARDRUN" --root "$ROOT" "$@"; }
# shellcheck shell=dash disable=SC2317,SC2329,SC3043  # functions are called by the proof; every sh of today has local
# shellcheck disable=SC2086  # FLAGS is words
run() { hr run --preset "$PRESET" --network "${NETWORK-none}" $FLAGS "$@"; }
# A name that no other proof has.
name() { echo "$own-$1"; }
start() { # start NAME WORDS…: in the background
    local short=$1
    shift
    run -d --name "$(name "$short")" "$@" >/dev/null
    made="$made $(name "$short")"
}
inside() { # inside NAME WORDS…
    local short=$1
    shift
    hr exec "$(name "$short")" "$@"
}
# beside NAME WORDS…: a client in the same network, under the default preset. What it does is not the preset's.
beside() {
    local short=$1
    shift
    "$ASIDE" --root "$ROOT" run --rm --preset default --network "container:$(name "$short")" -v "$WORK:/work:ro" "$IMAGE" "$@"
}
# until_says SECONDS TEXT COMMAND…: it says so before that
until_says() {
    local tries=$(($1 * 2)) wanted=$2
    shift 2
    until "$@" 2>&1 | grep -q -e "$wanted"; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || { "$@" >&2 || true; fail "does not say $wanted: $*"; }
        sleep 0.5
    done
}
stop() { hr stop "$(name "$1")" >/dev/null; }
say() { echo "proof of $PRESET: $*" >&2; }
fail() {
    say "FAILED: $*"
    for container in $made; do hr logs "$container" 2>&1 | tail -n 20 >&2 || true; done
    exit 1
}
# expect TEXT COMMAND…: it succeeds and says so
expect() {
    local wanted=$1 got
    shift
    got=$("$@" 2>&1) || fail "$*: exit status $?: $got"
    case $got in *"$wanted"*) ;; *) fail "$*: $wanted is not in: $got" ;; esac
}
# denied TEXT COMMAND…: it fails and says why
denied() {
    local wanted=$1 got
    shift
    if got=$("$@" 2>&1); then fail "not denied: $*: $got"; fi
    case $got in *"$wanted"*) ;; *) fail "$*: failed, but not with $wanted: $got" ;; esac
}
made=""
volumes=""
volume() { # volume NAME: one that goes with the proof
    hr volume create "$(name "$1")" >/dev/null
    volumes="$volumes $(name "$1")"
}
clean() {
    for container in $made; do hr rm -f "$container" >/dev/null 2>&1 || true; done
    for volume in $volumes; do hr volume rm "$volume" >/dev/null 2>&1 || true; done
}
trap clean EXIT
# try WORDS…: one more container with the same image, for its exit status and what it says
try() { run --rm --entrypoint "" "$IMAGE" "$@"; }
# echo_server FILE: a Python module whose run() serves and calls over IPv4 and IPv6, looks a name up, and gives what came back
echo_server() {
    cat >"$1" <<'END'
import asyncio, socket

def run():
    got = []
    async def serve():
        async def answer(reader, writer):
            writer.write(await reader.readline()); await writer.drain(); writer.close()
        for host in ("127.0.0.1", "::1"):
            server = await asyncio.start_server(answer, host, 8080)
            reader, writer = await asyncio.open_connection(host, 8080)
            writer.write(b"6\n"); got.append(int(await reader.readline())); writer.close(); server.close()
    asyncio.run(serve())
    try:
        socket.getaddrinfo("nowhere.example", 80)
    except OSError:
        pass
    return got
END
}
# load NAME URL: ApacheBench against a server, from beside; nothing fails
load() {
    local got
    got=$(beside "$1" ab -q -n 400 -c 8 "$2" 2>&1) || fail "ab $2: $got"
    case $got in *"Complete requests:      400"*"Failed requests:        0"*) ;; *) fail "ab $2: $got" ;; esac
}
# What no preset grants, tried by programs that every Debian has.
outside_common() {
    denied "Operation not permitted" try unshare -U true
    denied "" try mount -t tmpfs none /mnt
    denied "" try mknod /tmp/device c 1 3
}
outside_readonly() { denied "ead-only file system" try sh -c 'echo x >/etc/passwd'; }
# A preset that grants no capability: not even to who asks for root.
outside_capabilities() { expect "0000000000000000" try sh -c 'grep CapBnd /proc/self/status'; }
