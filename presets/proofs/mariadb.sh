# image: daemons
# MariaDB makes a data folder on a volume, runs its own benchmark, and has the same rows after a restart.

serve() {
    start "$1" -v "$(name data):/var/lib/mysql" "$IMAGE" \
        sh -c 'find /var/lib/mysql ! -user mysql -exec true {} +; mariadbd --verbose --help 2>/dev/null | awk "/^datadir/ { print }" >/dev/null
            [ -d /var/lib/mysql/mysql ] || mariadb-install-db --datadir=/var/lib/mysql --auth-root-authentication-method=normal >/dev/null
            exec mariadbd --datadir=/var/lib/mysql --bind-address=* --skip-name-resolve --socket=/run/mysqld/mysqld.sock --pid-file=/run/mysqld/mysqld.pid'
    until_says 90 alive beside "$1" mariadb-admin -h 127.0.0.1 -u root --connect-timeout 2 ping
}
sql() { beside "$1" mariadb -h 127.0.0.1 -u root -N -e "$2"; }

work() {
    volume data
    serve first
    expect "Average number of seconds" beside first mariadb-slap -h 127.0.0.1 -u root --auto-generate-sql --concurrency=4 \
        --number-of-queries=200 --engine=innodb
    sql first 'CREATE DATABASE d; CREATE TABLE d.kept (it INT) ENGINE=InnoDB; INSERT INTO d.kept VALUES (42)'
    # A temporary table that goes to the disk.
    expect 500000 sql first "SET SESSION tmp_memory_table_size=1024; SELECT count(*) FROM (SELECT DISTINCT seq, repeat('x',50) FROM d.seq_1_to_500000) AS x"
    expect 42 inside first mariadb -S /run/mysqld/mysqld.sock -u root -N -e 'SELECT it FROM d.kept'
    stop first
    expect 0 hr inspect -f '{{.State.ExitCode}}' "$(name first)"
    serve second
    expect 42 sql second 'SELECT it FROM d.kept'
    stop second
}

outside() {
    outside_common && outside_readonly && outside_capabilities
    denied "ermission denied" try cat /etc/login.defs
    denied "ead-only" try touch /var/tmp/x
}

"$1"
