# image: daemons
# HAProxy spreads requests over two backends, of which one dies, over IPv4 and IPv6, as master and worker.

work() {
    cat >haproxy.cfg <<'END'
global
    log 127.0.0.1:514 local0 info
    maxconn 200
defaults
    log global
    option httplog
    mode http
    timeout connect 5s
    timeout client 10s
    timeout server 10s
frontend web
    bind :80
    bind :::80 v6only
    bind :443
    default_backend both
END
    cat >backend.cfg <<'END'
backend both
    option httpchk GET /
    server one 127.0.0.1:8001 check inter 500
    server two 127.0.0.1:8002 check inter 500
END
    mkdir one two && echo one >one/index.html && echo two >two/index.html
    printf '#!/bin/sh\nexec "$@"\n' >entry.sh && chmod 755 entry.sh
    start proxy -v "$WORK/haproxy.cfg:/etc/haproxy/haproxy.cfg:ro" -v "$WORK/backend.cfg:/usr/local/etc/haproxy/backend.cfg:ro" \
        -v "$WORK/entry.sh:/usr/local/bin/docker-entrypoint.sh:ro" "$IMAGE" \
        sh /usr/local/bin/docker-entrypoint.sh haproxy -W -db -f /etc/haproxy/haproxy.cfg -f /usr/local/etc/haproxy
    for n in 1 2; do
        "$ASIDE" --root "$ROOT" run -d --preset default --name "$(name back$n)" --network "container:$(name proxy)" -v "$WORK:/work:ro" \
            "$IMAGE" busybox httpd -f -p 800$n -h "/work/$([ $n = 1 ] && echo one || echo two)" >/dev/null
        made="$made $(name back$n)"
    done
    until_says 30 one beside proxy curl -sS http://127.0.0.1/
    until_says 30 two beside proxy curl -sS 'http://[::1]/'
    load proxy http://127.0.0.1/
    "$ASIDE" --root "$ROOT" rm -f "$(name back2)" >/dev/null
    until_says 30 "one one one" beside proxy sh -c 'sleep 1; echo $(for i in 1 2 3; do curl -sS http://127.0.0.1/; done)'
    # A new configuration: the master starts a new worker and lets the old one go.
    hr kill -s USR2 "$(name proxy)" >/dev/null
    until_says 30 one beside proxy curl -sS http://127.0.0.1/
    stop proxy
}

outside() {
    outside_common && outside_readonly && outside_capabilities
    denied "ermission denied" try cat /etc/login.defs
    denied "ead-only" try touch /tmp/x
}

"$1"
