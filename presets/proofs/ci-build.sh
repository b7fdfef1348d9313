# image: runtimes
# A build as root: a package is made and installed by dpkg, a program is compiled in parallel in a bound folder, tested, and installed.

work() {
    mkdir -p src
    for n in 1 2 3 4 5 6; do echo "int f$n(void) { return $n; }" >src/f$n.c; done
    cat >src/main.c <<'END'
#include <stdio.h>
int f1(void), f2(void), f3(void), f4(void), f5(void), f6(void);
int main(void) { printf("%d\n", f1() + f2() + f3() + f4() + f5() + f6()); return 0; }
END
    printf 'sum: main.o f1.o f2.o f3.o f4.o f5.o f6.o\n\t$(CC) -o $@ $^\ncheck: sum\n\t./sum | grep -x 21\ninstall: sum\n\tinstall -o daemon -g daemon -m 755 sum /usr/local/bin/sum\n' >src/Makefile
    echo_server src/echo.py
    cat >job <<'END'
set -e
cd /src
git config --global --add safe.directory /src
git init -q . && git add . && git -c user.name=a -c user.email=a@b.example commit -qm first
make -s -j 4 CFLAGS='-O2 -pipe' check
make -s install && sum
mkdir -p /tmp/p/DEBIAN /tmp/p/usr/share/thing
printf 'Package: thing\nVersion: 1\nArchitecture: all\nMaintainer: a <a@b.example>\nDescription: thing\n' >/tmp/p/DEBIAN/control
printf '#!/bin/sh\nset -e\nadduser --system --group --no-create-home thing >/dev/null\nchown thing:thing /usr/share/thing/file\n' >/tmp/p/DEBIAN/postinst
chmod 755 /tmp/p/DEBIAN/postinst && echo text >/tmp/p/usr/share/thing/file && mkdir /tmp/p/usr/share/thing/all && chown daemon:mail /tmp/p/usr/share/thing/all && chmod 775 /tmp/p/usr/share/thing/all
dpkg-deb -b /tmp/p /tmp/thing.deb >/dev/null
apt-get install -y -qq /tmp/thing.deb >/dev/null 2>&1 || { apt-get install -y /tmp/thing.deb; exit 1; }
stat -c %U /usr/share/thing/file
stat -c %a /usr/share/thing/all
rm -rf /usr/share/thing/all
setpriv --reuid daemon --regid daemon --clear-groups id -un
tar -C /tmp --owner=daemon --group=mail -cf /tmp/t.tar p && mkdir /tmp/t && tar -C /tmp/t -xpf /tmp/t.tar && chmod -R u+rwX,g-w /tmp/t && rm -rf /tmp/t
python3 -m venv --without-pip /tmp/venv
mkfifo /tmp/fifo && { echo through >/tmp/fifo & cat /tmp/fifo; sleep 0.1; }
# A test-suite: a server, a client, a name.
python3 -c 'import echo; assert echo.run() == [6, 6]'
echo built
END
    chown -R 1000:1000 src
    expect "built" run --rm -v "$WORK/src:/src" -v "$WORK/job:/job:ro" "$IMAGE" sh /job
    [ "$(stat -c %u src/sum)" = 1000 ] || fail "what is built is not the folder's owner's"
}

outside() {
    outside_common
    denied "" try sh -c 'ping -c 1 127.0.0.1 || chroot / true'
    denied "not permitted" try date -s 2020-01-01
}

"$1"
