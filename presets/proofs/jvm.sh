# image: runtimes
# javac compiles a program, which then runs threads, collects garbage, serves and calls over TCP, maps a file and starts a child.

work() {
    cat >Thing.java <<'END'
import java.io.*; import java.net.*; import java.nio.file.*; import java.util.*; import java.util.concurrent.*;
public class Thing {
    public static void main(String[] a) throws Exception {
        ExecutorService pool = Executors.newFixedThreadPool(8);
        List<Future<Integer>> all = new ArrayList<>();
        for (int i = 0; i < 64; i++) { final int n = i; all.add(pool.submit(() -> { byte[] b = new byte[1 << 20]; return n; })); }
        int sum = 0; for (Future<Integer> f : all) sum += f.get();
        pool.shutdown();
        System.gc();
        ServerSocket server = new ServerSocket(8080);
        Thread t = new Thread(() -> { try (Socket s = server.accept()) { s.getOutputStream().write(65); } catch (IOException e) { throw new RuntimeException(e); } });
        t.start();
        int got = new Socket("127.0.0.1", 8080).getInputStream().read();
        t.join();
        Path p = Files.createTempFile("x", "y"); Files.writeString(p, "text"); Files.move(p, p.resolveSibling("z")); Files.delete(p.resolveSibling("z"));
        Process child = new ProcessBuilder("echo", "child").start();
        String said = new BufferedReader(new InputStreamReader(child.getInputStream())).readLine();
        try { InetAddress.getByName("nowhere.example"); } catch (UnknownHostException e) { }
        System.out.println(sum + " " + got + " " + said + " " + child.waitFor());
    }
}
END
    chown -R 1000:1000 .
    expect "2016 65 child 0" run --rm -v "$WORK:/work:ro" "$IMAGE" \
        sh -c 'javac -d /tmp/classes /work/Thing.java && java -XX:+UseG1GC -cp /tmp/classes Thing'
}

outside() {
    outside_common && outside_readonly && outside_capabilities
    denied "ead-only" try touch /var/tmp/x
}

"$1"
