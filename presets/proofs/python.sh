# image: runtimes
# pip builds a wheel from a source folder, installs it into a virtual environment, and its tests run, then some of Python's own: threads, processes, sockets, a database.

work() {
    mkdir -p src/thing
    cat >src/setup.py <<'END'
from setuptools import setup
setup(name="thing", version="1.0", packages=["thing"])
END
    cat >src/thing/__init__.py <<'END'
import multiprocessing, sqlite3, subprocess, tempfile, threading
from . import echo

def work():
    seen = []
    thread = threading.Thread(target=seen.append, args=(1,)); thread.start(); thread.join()
    with multiprocessing.Pool(2) as pool:
        seen += pool.map(abs, [-2, -3])
    seen.append(int(subprocess.check_output(["echo", "4"])))
    with tempfile.TemporaryDirectory() as folder:
        db = sqlite3.connect(folder + "/db"); db.execute("create table t(n)"); db.execute("insert into t values (5)"); db.commit()
        seen.append(db.execute("select n from t").fetchone()[0]); db.close()
    print("seen", seen + echo.run())
END
    echo_server src/thing/echo.py
    cat >job <<'END'
set -e
export HOME=/tmp PYTHONPYCACHEPREFIX=/tmp/cache
cp -r /work/src /tmp/src
python3 -m venv --system-site-packages /tmp/venv
. /tmp/venv/bin/activate
pip wheel -q --no-build-isolation --no-index -w /tmp/wheels /tmp/src
pip install -q --no-index /tmp/wheels/thing-1.0-py3-none-any.whl
cd /tmp && python -c 'import thing; thing.work()' | grep -x 'seen \[1, 2, 3, 4, 5, 6, 6\]'
python -m test --quiet --tempdir /tmp test_json test_zlib
END
    chown -R 1000:1000 .
    expect "Tests result: SUCCESS" run --rm -v "$WORK:/work:ro" "$IMAGE" sh /work/job
}

outside() {
    outside_common && outside_readonly && outside_capabilities
    denied "Read-only" try python3 -c 'open("/usr/lib/x", "w")'
    denied "" try python3 -c 'import socket; socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET)'
}

"$1"
