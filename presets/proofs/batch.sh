# image: runtimes
# Sorts, sums, packs and converts files: input read-only, one folder for what comes out.

work() {
    mkdir in out
    seq 200000 -1 1 >in/numbers
    cat >job <<'END'
set -e
sort -n -S 100k -T /tmp /in/numbers >/out/sorted
head -n 1 /out/sorted
awk '{ n += $1 } END { print n }' /in/numbers
cp -p /in/numbers /out/copy
mkdir -p /out/folder && mv /out/copy /out/folder/numbers
chmod 600 /out/folder/numbers && touch -d 2020-01-01 /out/folder/numbers
tar -czf /out/packed.tgz -C /out folder && tar -xzf /out/packed.tgz -C /tmp
cmp /tmp/folder/numbers /in/numbers
find /out -name sorted | xargs -n 1 wc -l
python3 -c 'import json; print(json.dumps({"a": 1}))'
cat <<TEXT
done
TEXT
rm -r /out/folder
END
    chown -R 1000:1000 .
    expect "done" run --rm -v "$WORK/in:/in:ro" -v "$WORK/out:/out" -v "$WORK/job:/job:ro" "$IMAGE" sh /job
    [ "$(head -n 1 out/sorted)" = 1 ] || fail "not sorted"
}

outside() {
    outside_common && outside_readonly && outside_capabilities
    denied "" try python3 -c 'import socket; socket.socket(socket.AF_INET)'
    denied "" try python3 -c 'import socket; socket.socket(socket.AF_UNIX)'
    NETWORK=bridge
    denied "network" try true
}

"$1"
