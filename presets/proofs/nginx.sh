# image: daemons
# nginx serves files and as a proxy, over IPv4 and IPv6, under load too, takes a new configuration without an end, and ends when told.

conf() { # conf ANSWER
    cat >nginx.conf <<END
pid /run/nginx.pid;
worker_processes 2;
error_log stderr notice;
events { worker_connections 512; }
http {
    access_log /var/log/nginx/access.log;
    sendfile on;
    include /etc/nginx/mime.types;
    resolver 127.0.0.1;
    resolver_timeout 1s;
    client_body_buffer_size 8k;
    client_body_temp_path /var/cache/nginx/client_temp;
    server {
        listen 80;
        listen [::]:80;
        listen 443;
        root /srv/www;
        location = /which { return 200 "$1"; }
        location /packaged/ { alias /usr/share/nginx/html/; }
        location /www/ { alias /var/www/html/; }
        location /elsewhere/ { set \$backend nowhere.example; proxy_pass http://\$backend; }
        location /back/ { proxy_pass http://127.0.0.1:80/; }
    }
}
END
}

# What the official image does before it starts nginx.
entry() {
    cat >entry.sh <<'END'
#!/bin/sh
find /docker-entrypoint.d/ -follow -type f -print | sort -V | while read -r f; do sh "$f"; done
touch /run/x; sed -n 1p /etc/passwd | grep -q root; exec "$@"
END
    echo 'echo before' >before.sh
    chmod 755 entry.sh before.sh
}

work() {
    conf first && entry
    mkdir www && echo "the page" >www/index.html && head -c 3000000 /dev/zero >www/large && head -c 300000 /dev/zero >body
    start web -v "$WORK/nginx.conf:/etc/nginx/nginx.conf" -v "$WORK/www:/srv/www:ro" -v "$WORK/entry.sh:/docker-entrypoint.sh:ro" \
        -v "$WORK/before.sh:/docker-entrypoint.d/before.sh:ro" "$IMAGE" /docker-entrypoint.sh nginx -g "daemon off;"
    until_says 30 "the page" beside web curl -sS http://127.0.0.1/
    expect "the page" beside web curl -sS 'http://[::1]/'
    load web http://127.0.0.1/
    # Its own answer, read back by itself from a backend into temporary files.
    expect 3000000 beside web curl -sS -o /dev/null -w '%{size_download}' --limit-rate 4M http://127.0.0.1/back/large
    # A body that does not fit into memory.
    expect 405 beside web curl -sS -o /dev/null -w '%{http_code}' --data-binary @/work/body http://127.0.0.1/back/index.html
    # One of which a part comes with the head: it is written from two places at once.
    { printf 'POST /back/index.html HTTP/1.0\r\nHost: web\r\nContent-Length: 20000\r\n\r\n' && head -c 20000 /dev/zero; } >request
    expect " 405 " beside web sh -c '{ cat /work/request; sleep 2; } | busybox nc 127.0.0.1 80'
    expect nginx beside web curl -sS http://127.0.0.1:443/packaged/index.html
    expect nginx beside web curl -sS http://127.0.0.1/www/index.nginx-debian.html
    expect 502 beside web curl -sS -o /dev/null -w '%{http_code}' http://127.0.0.1/elsewhere/
    expect first beside web curl -sS http://127.0.0.1/which
    conf second
    inside web nginx -s reload 2>/dev/null
    until_says 20 second beside web curl -sS http://127.0.0.1/which
    stop web
    expect 0 hr inspect -f '{{.State.ExitCode}}' "$(name web)"
}

outside() {
    outside_common && outside_readonly && outside_capabilities
    denied "ermission denied" try cat /etc/login.defs
    denied "ermission denied" try ls /var/lib/dpkg
    sed 's/listen 80;/listen 81;/' nginx.conf >other.conf 2>/dev/null || { conf first; sed 's/listen 80;/listen 81;/' nginx.conf >other.conf; }
    denied "13: Permission denied" run --rm --entrypoint "" -v "$WORK/other.conf:/etc/nginx/nginx.conf:ro" "$IMAGE" nginx -g 'daemon off;'
    denied "not permitted" try setpriv --reuid 0 true
    denied "" try busybox ping -c 1 127.0.0.1
    denied "" try ip link
}

"$1"
