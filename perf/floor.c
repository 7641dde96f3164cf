/* The floor: what it costs at least to move the bytes of SMB2 READs, with no SMB in between.
 *
 * floor serve PORT FILE SIZE
 *     One ring.  Takes frames as long as a READ request (4 + 64 + 49 bytes) with the file offset where READ has it,
 *     reads SIZE bytes there, and sends 4 + 64 + 16 + SIZE bytes back; all complete requests of one receive are
 *     answered by one send, and the next receive is submitted with it.  On SIGTERM prints what it did and its CPU time.
 *
 * floor load PORT FILE_BYTES SIZE CONNECTIONS DEPTH SECONDS
 *     The client: DEPTH requests under way on each connection, at random offsets.  Prints what was answered.
 *
 * Loopback only; the two trust each other. This measures, it does not serve.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    REQUEST_BYTES = 4 + 64 + 49,
    OFFSET_AT = 4 + 64 + 8, /* [MS-SMB2] 2.2.19: Offset */
    REPLY_HEADER_BYTES = 4 + 64 + 16,
    CONNECTIONS_MAX = 1024,
    RECEIVE_BYTES = 256 * 1024,
    BATCH_MAX = 64,
    BATCH_BYTES_MAX = 4 << 20, /* replies of one send; at least one */
    RING_ENTRIES = 4096,
};

/* What a completion belongs to: the connection's number, and which of its two operations. */
enum { ACCEPTED, RECEIVED, SENT };

struct connection {
    int socket;
    int sending;       /* a send is under way: nothing else may touch `out` */
    int waiting;       /* what was received waits for that send */
    int closed;        /* the peer is gone; the memory is freed when the send has completed */
    size_t have;       /* server: bytes in `in`; a receive under way writes behind them */
    uint64_t received; /* client: bytes of replies so far */
    uint64_t asked;    /* client: requests so far */
    uint8_t *in;
    uint8_t *out;
};

static struct connection connections[CONNECTIONS_MAX];
static struct io_uring ring;
static volatile sig_atomic_t ending;

static void on_signal(int number) { (void)number; ending = 1; }

static void fail(const char *what) { perror(what); exit(1); }

static void *memory(size_t bytes)
{
    void *got = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
    if (!got)
        fail("aligned_alloc");
    memset(got, 0, bytes);
    return got;
}

static void set_up(void)
{
    struct io_uring_params parameters = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_COOP_TASKRUN,
    };
    int error = io_uring_queue_init_params(RING_ENTRIES, &ring, &parameters);
    if (error) {
        errno = -error;
        fail("io_uring_setup");
    }
    struct sigaction action = { .sa_handler = on_signal };
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
}

static struct io_uring_sqe *operation(void)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
    if (!sqe) {
        io_uring_submit(&ring);
        sqe = io_uring_get_sqe(&ring);
    }
    return sqe;
}

/* After the operation was prepared: preparing clears it. */
static void mark(struct io_uring_sqe *sqe, int number, int kind)
{
    io_uring_sqe_set_data64(sqe, (uint64_t)number << 2 | kind);
}

static void receive(int number)
{
    struct connection *c = &connections[number];
    struct io_uring_sqe *sqe = operation();
    io_uring_prep_recv(sqe, c->socket, c->in + c->have, RECEIVE_BYTES - c->have, 0);
    mark(sqe, number, RECEIVED);
}

static void send_out(int number, size_t bytes)
{
    struct connection *c = &connections[number];
    struct io_uring_sqe *sqe = operation();
    /* MSG_WAITALL: the kernel goes on after a short send, so one completion means all of it. */
    io_uring_prep_send(sqe, c->socket, c->out, bytes, MSG_WAITALL | MSG_NOSIGNAL);
    mark(sqe, number, SENT);
    c->sending = 1;
}

/* Reap what has completed after waiting for at least one completion. */
static void wait_and_handle(void (*handle)(uint64_t what, int result))
{
    int error = io_uring_submit_and_wait(&ring, 1);
    if (error < 0 && error != -EINTR) {
        errno = -error;
        fail("io_uring_enter");
    }
    struct io_uring_cqe *cqe;
    unsigned head, seen = 0;
    io_uring_for_each_cqe(&ring, head, cqe) {
        handle(io_uring_cqe_get_data64(cqe), cqe->res);
        seen++;
    }
    io_uring_cq_advance(&ring, seen);
}

static struct sockaddr_in loopback(int port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
}

/* --- the server ------------------------------------------------------------------------------------------------ */

static int file;
static size_t size;
static uint64_t requests;

static size_t batch_max(void)
{
    size_t fit = BATCH_BYTES_MAX / (REPLY_HEADER_BYTES + size);
    return fit < 1 ? 1 : fit > BATCH_MAX ? BATCH_MAX : fit;
}

/* Answer the complete requests that are there, as many as one send takes, and receive more meanwhile. */
static void answer(int number)
{
    struct connection *c = &connections[number];
    size_t at = 0, out = 0;
    for (size_t n = 0; n < batch_max() && c->have - at >= REQUEST_BYTES; n++, at += REQUEST_BYTES) {
        uint64_t offset;
        memcpy(&offset, c->in + at + OFFSET_AT, sizeof offset);
        uint8_t *reply = c->out + out;
        memset(reply, 0, REPLY_HEADER_BYTES);
        uint32_t length = htonl(REPLY_HEADER_BYTES - 4 + size);
        memcpy(reply, &length, sizeof length);
        if (pread(file, reply + REPLY_HEADER_BYTES, size, offset) != (ssize_t)size)
            fail("pread");
        out += REPLY_HEADER_BYTES + size;
        requests++;
    }
    memmove(c->in, c->in + at, c->have - at);
    c->have -= at;
    if (out)
        send_out(number, out);
    receive(number);
}

static void hang_up(int number)
{
    struct connection *c = &connections[number];
    close(c->socket);
    free(c->in);
    free(c->out);
    memset(c, 0, sizeof *c);
}

static void welcome(int accepted)
{
    int number = 0;
    while (number < CONNECTIONS_MAX && connections[number].in)
        number++;
    if (number == CONNECTIONS_MAX) {
        close(accepted);
        return;
    }
    int on = 1;
    setsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    connections[number] = (struct connection){
        .socket = accepted, .in = memory(RECEIVE_BYTES),
        .out = memory(batch_max() * (REPLY_HEADER_BYTES + size)),
    };
    receive(number);
}

/* A receive completes at most once between two answers, because answer() alone submits the next: while a send is
 * under way what it brought waits, so `in` may be moved when the send has completed. */
static void serve_completion(uint64_t what, int result)
{
    int number = what >> 2;
    struct connection *c = &connections[number];
    switch (what & 3) {
    case ACCEPTED:
        if (result < 0) {
            errno = -result;
            fail("accept");
        }
        welcome(result);
        return;
    case RECEIVED:
        if (result > 0)
            c->have += result;
        else
            c->closed = 1;
        c->waiting = 1;
        break;
    case SENT:
        c->sending = 0;
    }
    if (c->sending)
        return;
    if (c->closed) {
        hang_up(number);
    } else if (c->waiting) {
        c->waiting = 0;
        answer(number);
    }
}

static int serve(int port, const char *path)
{
    file = open(path, O_RDONLY);
    if (file < 0)
        fail(path);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    struct sockaddr_in address = loopback(port);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, CONNECTIONS_MAX))
        fail("listen");
    struct io_uring_sqe *sqe = operation();
    io_uring_prep_multishot_accept(sqe, listener, NULL, NULL, 0);
    mark(sqe, 0, ACCEPTED);
    puts("listening");
    fflush(stdout);
    while (!ending)
        wait_and_handle(serve_completion);
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    printf("requests %llu user_us %lld system_us %lld\n", (unsigned long long)requests,
           used.ru_utime.tv_sec * 1000000LL + used.ru_utime.tv_usec,
           used.ru_stime.tv_sec * 1000000LL + used.ru_stime.tv_usec);
    return 0;
}

/* --- the client ------------------------------------------------------------------------------------------------ */

static uint64_t file_bytes;
static uint64_t depth;
static uint64_t random_state = 88172645463325252u;

static uint64_t random_offset(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state % (file_bytes / size) * size;
}

/* Ask as often as replies have come, in one send. */
static void ask(int number)
{
    struct connection *c = &connections[number];
    uint64_t answered = c->received / (REPLY_HEADER_BYTES + size), bytes = 0;
    if (c->sending || ending)
        return;
    for (; c->asked < answered + depth; c->asked++, bytes += REQUEST_BYTES) {
        uint8_t *request = c->out + bytes;
        uint32_t length = htonl(REQUEST_BYTES - 4);
        uint64_t offset = random_offset();
        memcpy(request, &length, sizeof length);
        memcpy(request + OFFSET_AT, &offset, sizeof offset);
    }
    if (bytes)
        send_out(number, bytes);
}

static void load_completion(uint64_t what, int result)
{
    int number = what >> 2;
    struct connection *c = &connections[number];
    if (result <= 0) {
        errno = -result;
        fail("the server is gone");
    }
    if ((what & 3) == SENT) {
        c->sending = 0;
    } else {
        c->received += result;
        receive(number);
    }
    ask(number);
}

static int load(int port, int count, double seconds)
{
    struct sockaddr_in address = loopback(port);
    for (int number = 0; number < count; number++) {
        struct connection *c = &connections[number];
        int on = 1;
        c->socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connect(c->socket, (struct sockaddr *)&address, sizeof address))
            fail("connect");
        setsockopt(c->socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        c->in = memory(RECEIVE_BYTES);
        c->out = memory(depth * REQUEST_BYTES);
        receive(number);
        ask(number);
    }
    struct timespec start, now;
    clock_gettime(CLOCK_MONOTONIC, &start);
    double passed;
    do {
        wait_and_handle(load_completion);
        clock_gettime(CLOCK_MONOTONIC, &now);
        passed = now.tv_sec - start.tv_sec + (now.tv_nsec - start.tv_nsec) / 1e9;
    } while (passed < seconds && !ending);
    uint64_t answered = 0;
    for (int number = 0; number < count; number++)
        answered += connections[number].received / (REPLY_HEADER_BYTES + size);
    printf("requests %llu seconds %.6f\n", (unsigned long long)answered, passed);
    return 0;
}

int main(int count, char **arguments)
{
    set_up();
    if (count == 5 && !strcmp(arguments[1], "serve")) {
        size = strtoul(arguments[4], NULL, 10);
        return serve(atoi(arguments[2]), arguments[3]);
    }
    if (count == 8 && !strcmp(arguments[1], "load")) {
        file_bytes = strtoull(arguments[3], NULL, 10);
        size = strtoul(arguments[4], NULL, 10);
        depth = strtoull(arguments[6], NULL, 10);
        int wanted = atoi(arguments[5]);
        if (size && size <= file_bytes && depth && wanted > 0 && wanted <= CONNECTIONS_MAX)
            return load(atoi(arguments[2]), wanted, atof(arguments[7]));
    }
    fputs("usage: floor serve PORT FILE SIZE\n"
          "       floor load PORT FILE_BYTES SIZE CONNECTIONS DEPTH SECONDS\n", stderr);
    return 2;
}
