# image: daemons
# memcached stores, answers, counts and forgets, over IPv4 and IPv6, with threads; libmemcached's load and its tests of the protocol.

ask() { beside cache sh -c "printf '$1' | busybox nc ${2-127.0.0.1} 11211"; }

work() {
    start cache "$IMAGE" memcached -m 64 -t 2 -U 0
    until_says 30 VERSION ask 'version\r\nquit\r\n'
    expect STORED ask 'set kept 0 0 2\r\n42\r\nquit\r\n'
    expect 42 ask 'get kept\r\nquit\r\n' ::1
    expect 43 ask 'incr kept 1\r\nquit\r\n'
    expect 20 ask "$(for n in $(seq 1 20); do printf 'set k%s 0 0 1\\r\\nx\\r\\n' "$n"; done)stats\\r\\nquit\\r\\n"
    expect "Time to set" beside cache memcslap --servers=127.0.0.1:11211 --concurrency=4 --execute-number=100 --test=set
    expect "All tests passed" beside cache memccapable -h 127.0.0.1 -a
    expect OK ask 'flush_all\r\nquit\r\n'
    stop cache
}

outside() {
    outside_common && outside_readonly && outside_capabilities
    denied "ead-only" try touch /tmp/x
    denied "ermission denied" try cat /etc/login.defs
    denied "" try memcached -s /dev/shm/socket
}

"$1"
