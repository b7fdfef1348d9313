# image: runtimes
# npm installs a package from a folder with its dependency and a build step, and runs its tests: a server, a child, a worker.

work() {
    mkdir -p app dep
    cat >dep/package.json <<'END'
{ "name": "dep", "version": "1.0.0", "main": "index.js", "scripts": { "install": "node -e \"require('fs').writeFileSync('built', 'yes')\"" } }
END
    echo 'exports.answer = () => 42' >dep/index.js
    cat >app/package.json <<'END'
{ "name": "app", "version": "1.0.0", "dependencies": { "dep": "file:../dep" }, "scripts": { "test": "node test.js" } }
END
    cat >app/test.js <<'END'
const http = require('http'), fs = require('fs'), os = require('os'), path = require('path');
const { Worker } = require('worker_threads'), { execFileSync } = require('child_process');
const assert = require('assert'), dep = require('dep'), zlib = require('zlib'), crypto = require('crypto');
assert.equal(dep.answer(), 42);
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'x-'));
fs.writeFileSync(folder + '/a', zlib.gzipSync('text'));
assert.equal(zlib.gunzipSync(fs.readFileSync(folder + '/a')).toString(), 'text');
fs.renameSync(folder + '/a', folder + '/b'); fs.rmSync(folder, { recursive: true });
assert.equal(execFileSync('sh', ['-c', 'echo child']).toString(), 'child\n');
crypto.scryptSync('a', 'b', 32);
require('dns').resolve4('nowhere.example', () => {});
const watcher = fs.watch(os.tmpdir()); watcher.close();
const worker = new Worker('require("worker_threads").parentPort.postMessage(6 * 7)', { eval: true });
worker.on('message', n => {
    assert.equal(n, 42);
    const server = http.createServer((q, r) => r.end('served')).listen(8080, () =>
        http.get('http://127.0.0.1:8080/', r => r.on('data', d => { assert.equal(d.toString(), 'served'); console.log('all is well'); server.close(); })));
});
END
    chown -R 1000:1000 .
    cat >job <<'END'
set -e
cp -r /work/app /work/dep /tmp/
cd /tmp/app
npm install --install-links --no-audit --no-fund --loglevel=error
test -e node_modules/dep/built
npm test
END
    expect "all is well" run --rm -e HOME=/home/node -v "$WORK:/work:ro" "$IMAGE" sh /work/job
}

outside() {
    outside_common && outside_readonly && outside_capabilities
    denied "EROFS" try node -e 'require("fs").writeFileSync("/usr/lib/x", "")'
}

"$1"
