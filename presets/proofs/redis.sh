# image: daemons
# Redis runs its own benchmark, saves in the background and appends, and has the same keys after a restart.

serve() {
    start "$1" -v "$(name data):/data" -v "$WORK/redis.conf:/usr/local/etc/redis/redis.conf:ro" -w /data "$IMAGE" sh -c '[ "$(id -u)" != 0 ] || find . ! -user redis -exec chown redis {} +
        [ "$(umask)" != 0022 ] || umask 0077; exec "$@"' sh redis-server /usr/local/etc/redis/redis.conf --dir /data
    until_says 30 PONG beside "$1" redis-cli ping
}

work() {
    printf 'bind * -::*\nprotected-mode no\nappendonly yes\n' >redis.conf
    volume data
    serve first
    expect "SET" beside first redis-benchmark -q -n 2000 -c 20 -t set,get,lpush,lrange_100
    until_says 60 "^healthy" hr inspect -f '{{.State.Health.Status}}' "$(name first)"
    expect OK beside first redis-cli set kept 42
    expect 42 beside first redis-cli -h ::1 get kept
    expect "started" beside first redis-cli bgsave
    until_says 30 "rdb_last_bgsave_status:ok" beside first redis-cli info persistence
    expect "started" beside first redis-cli bgrewriteaof
    until_says 30 "aof_rewrite_in_progress:0" beside first redis-cli info persistence
    stop first
    serve second
    expect 42 beside second redis-cli get kept
    stop second
}

outside() {
    outside_common && outside_readonly && outside_capabilities
    denied "ermission denied" try cat /etc/login.defs
    denied "" try sh -c 'redis-server --port 0 --unixsocket /data/socket --dir /data'
    denied "ead-only" try touch /tmp/x
}

"$1"
