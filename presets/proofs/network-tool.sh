# image: daemons
# ping, dig and curl on the container's own network, IPv4 and IPv6, without a capability.

work() {
    NETWORK=none
    expect "1 received" run --rm "$IMAGE" ping -n -c 1 127.0.0.1
    expect "1 received" run --rm "$IMAGE" ping -n -c 1 ::1
    "$ASIDE" --root "$ROOT" run -d --preset default --name "$(name web)" --network none "$IMAGE" busybox httpd -f -p 8080 -h /etc >/dev/null
    made="$made $(name web)"
    NETWORK="container:$(name web)"
    until_says 20 "debian" run --rm "$IMAGE" curl -sS http://127.0.0.1:8080/hostname http://127.0.0.1:8080/os-release
    expect "connection refused" run --rm "$IMAGE" sh -c 'dig +tries=1 +time=2 @127.0.0.1 example.org; true'
    expect "connection refused" run --rm "$IMAGE" sh -c 'dig +tries=1 +time=2 @::1 example.org; true'
    expect "" run --rm "$IMAGE" sh -c 'curl -sS -m 2 http://[::1]:8080/ || true'
    expect "127.0.0.1" run --rm "$IMAGE" getent ahosts localhost
}

outside() {
    outside_common && outside_readonly && outside_capabilities
    denied "" try tcpdump -c 1 -i lo
    denied "" try busybox ping -c 1 127.0.0.1
}

"$1"
