# image: runtimes
# A program of somebody else's computes with a child and threads, reads its input, writes to memory, and is ended when it takes too much.

work() {
    cat >program.py <<'END'
import threading, subprocess, json, hashlib
result = []
t = threading.Thread(target=lambda: result.append(hashlib.sha256(open("/in/input", "rb").read()).hexdigest())); t.start(); t.join()
open("/tmp/a", "w").write(json.dumps(result))
open("/run/a", "w").close()
open("/var/tmp/a", "w").close()
print(subprocess.run(["cat", "/tmp/a"], capture_output=True, text=True).stdout)
END
    echo text >input
    chmod 644 input program.py
    mkdir in && mv input program.py in/ && chmod 755 in
    expect "b9e68e1bea3e5b19ca6b2f98b73a54b73daafaa250484902e09982e07a12e733" run --rm -v "$WORK/in:/in:ro" "$IMAGE" python3 -I /in/program.py
}

outside() {
    outside_common && outside_readonly && outside_capabilities
    denied "ermission denied" try sh -c 'cp /bin/true /tmp/true && /tmp/true'
    denied "" try python3 -c 'import socket; socket.socket(socket.AF_INET)'
    denied "" try python3 -c 'x = bytearray(1 << 30); x[::4096] = b"x" * len(x[::4096])'
    denied "" try sh -c 'for i in $(seq 200); do sleep 5 & done; wait'
    NETWORK=bridge
    denied "network" try true
}

"$1"
