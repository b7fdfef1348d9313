# image: runtimes
# A program without libraries, made by a compiler of the image, serves over IPv4 and IPv6, calls, and ends when told.

work() {
    cat >thing.c <<'END'
#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
static void *serve(void *at) {
    int fd = accept(*(int *)at, 0, 0);
    write(fd, "served", 6); shutdown(fd, SHUT_WR); close(fd);
    return 0;
}
static int ask(int family) {
    struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_port = htons(8080), .sin6_addr = IN6ADDR_LOOPBACK_INIT };
    struct sockaddr_in four = { .sin_family = AF_INET, .sin_port = htons(8081), .sin_addr = { htonl(INADDR_LOOPBACK) } };
    struct sockaddr *to = family == AF_INET ? (void *)&four : (void *)&six;
    socklen_t len = family == AF_INET ? sizeof four : sizeof six;
    int at = socket(family, SOCK_STREAM, 0), fd = socket(family, SOCK_STREAM, 0);
    char text[16] = "";
    pthread_t thread;
    setsockopt(at, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
    if (bind(at, to, len) || listen(at, 8)) return 1;
    pthread_create(&thread, 0, serve, &at);
    int poll = epoll_create1(0);
    struct epoll_event event = { .events = EPOLLIN };
    if (connect(fd, to, len) || epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event) || epoll_wait(poll, &event, 1, 5000) != 1) return 1;
    read(fd, text, 15);
    pthread_join(thread, 0);
    nanosleep(&(struct timespec){ .tv_nsec = 1000 }, 0);
    return strcmp(text, "served");
}
static void look(void) {
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(53), .sin_addr = { htonl(INADDR_LOOPBACK) } };
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    sendto(fd, "?", 1, 0, (void *)&to, sizeof to); close(fd);
}
int main(void) { look(); return ask(AF_INET) || ask(AF_INET6) || puts("served twice") < 0; }
END
    "$ASIDE" --root "$ROOT" run --rm --preset default --network none -v "$WORK:/work" "$IMAGE" gcc -static -O2 -pthread -w -o /work/thing /work/thing.c ||
        fail "it does not compile"
    expect "served twice" run --rm -v "$WORK:/app:ro" "$IMAGE" /app/thing
}

outside() {
    outside_common && outside_readonly && outside_capabilities
    denied "ead-only" try touch /tmp/x
    denied "not permitted" try mkdir /dev/shm/x
    denied "can't cd" try sh -c 'cd /tmp'
}

"$1"
