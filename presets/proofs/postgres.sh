# image: daemons
# PostgreSQL makes a cluster on a volume, runs pgbench, is stopped, and has the same rows after a restart.

serve() {
    start "$1" --user 999:999 -v "$(name data):/var/lib/postgresql/data" "$IMAGE" \
        sh -c 'PATH=/usr/lib/postgresql/15/bin:$PATH PGDATA=/var/lib/postgresql/data/cluster
            # As the entry point of the official image does it: a first start without a network, for the scripts of the site.
            mkdir -p $PGDATA && chmod 700 $PGDATA && chmod 1777 /run/postgresql || true
            find $PGDATA ! -user postgres -exec chown postgres {} + || true
            if [ ! -s $PGDATA/PG_VERSION ]; then
                echo secret >/tmp/pw && initdb -D $PGDATA --auth=trust -U postgres --pwfile=/tmp/pw >/dev/null
                pg_ctl -D $PGDATA -o "-c listen_addresses= -p 5432 -k /run/postgresql" -w -s start
                psql -h /run/postgresql -U postgres -At -c "CREATE DATABASE site" && pg_ctl -D $PGDATA -m fast -w -s stop
            fi
            exec postgres -D $PGDATA -c listen_addresses="*" -c unix_socket_directories=/run/postgresql'
    until_says 60 accepting beside "$1" pg_isready -h 127.0.0.1
}
sql() {
    local short=$1
    shift
    beside "$short" psql -h 127.0.0.1 -U postgres -At -c "$@"
}

work() {
    volume data
    serve first
    beside first pgbench -h 127.0.0.1 -U postgres -i -s 1 -q postgres >/dev/null 2>&1 || fail "pgbench -i"
    expect "processed" beside first pgbench -h 127.0.0.1 -U postgres -c 2 -t 50 postgres
    expect 100 sql first 'SELECT count(*) FROM pgbench_history'
    # Workers with shared memory, a sort that does not fit, vacuum, a socket of its own.
    expect 100000 sql first 'SET max_parallel_workers_per_gather=2; SET parallel_setup_cost=0; SET min_parallel_table_scan_size=0; SELECT count(*) FROM pgbench_accounts'
    expect 100000 sql first "SET work_mem='64kB'; SELECT count(*) FROM (SELECT * FROM pgbench_accounts ORDER BY filler, aid) AS x"
    sql first 'VACUUM (VERBOSE, ANALYZE) pgbench_accounts' >/dev/null 2>&1
    sql first 'CREATE TABLE kept AS SELECT 42 AS it' >/dev/null
    until_says 60 "^healthy" hr inspect -f '{{.State.Health.Status}}' "$(name first)"
    expect accepting inside first pg_isready -h 127.0.0.1
    expect 1 inside first /usr/lib/postgresql/15/bin/psql -h /run/postgresql -U postgres -At -c 'SELECT 1'
    stop first
    expect 0 hr inspect -f '{{.State.ExitCode}}' "$(name first)"
    serve second
    expect 42 sql second 'SELECT it FROM kept'
    stop second
}

outside() {
    outside_common && outside_readonly && outside_capabilities
    denied "ermission denied" try cat /etc/login.defs
    NETWORK=bridge
    denied "" try curl -sS -m 3 http://192.0.2.1/
    denied "" try busybox ping -c 1 127.0.0.1
}

"$1"
