# image: daemons
# Caddy serves files over IPv4 and IPv6, and over TLS with an authority of its own that it keeps on a volume over a restart.

work() {
    cat >Caddyfile <<'END'
{
    skip_install_trust
}
http://127.0.0.1, http://[::1] {
    handle_path /packaged/* {
        root * /usr/share/caddy
        file_server
    }
    root * /srv/www
    file_server
}
https://localhost {
    tls internal
    respond "over TLS"
}
END
    mkdir www && echo "the page" >www/index.html
    volume data
    serve() {
        start "$1" -e XDG_DATA_HOME=/data -e XDG_CONFIG_HOME=/config -v "$WORK/Caddyfile:/etc/caddy/Caddyfile:ro" -v "$WORK/www:/srv/www:ro" \
            -v "$(name data):/data" "$IMAGE" caddy run --config /etc/caddy/Caddyfile --adapter caddyfile
        until_says 30 "the page" beside "$1" curl -sS http://127.0.0.1/
    }
    serve first
    expect "Caddy" beside first curl -sS http://127.0.0.1/packaged/index.html
    expect "the page" beside first curl -sS 'http://[::1]/'
    load first http://127.0.0.1/
    until_says 30 "over TLS" beside first curl -ksS https://localhost/
    inside first cat /data/caddy/pki/authorities/local/root.crt >root.crt
    stop first
    serve second
    until_says 30 "over TLS" beside second curl -sS --cacert /work/root.crt https://localhost/
    stop second
}

outside() {
    outside_common && outside_readonly && outside_capabilities
    denied "ermission denied" try cat /etc/login.defs
    denied "ead-only" try touch /srv/www/x
}

"$1"
