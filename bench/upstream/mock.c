/* A mock upstream that is never the bottleneck: one thread, epoll, answers built once.
 *
 * It speaks three protocols over HTTP/1.1 with connections that are kept open: OpenAI's Chat Completions, streamed or
 * not, and the streams of Anthropic's Messages and Google's generateContent. The name of the model says what to answer:
 * "mock-CHUNKS" sends all chunks at once, "mock-CHUNKS-MILLISECONDS" sends one chunk in each interval, and "mock-plan"
 * sends the plan of a step that goes on, each time with another thought, so that it is no loop.
 *
 * Usage: mock PORT. It prints the port, and serves until it is killed.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MAX_EVENTS = 256, MAX_CONNECTIONS = 65536, READ_BYTES = 65536, KEPT_BYTES = 16384, MAX_ANSWERS = 64 };
enum protocol { CHAT, CHAT_WHOLE, ANTHROPIC, GEMINI, PROTOCOLS };

/* An answer with this many chunks: its head, each chunk framed for HTTP, and its tail. */
struct answer {
    enum protocol protocol;
    int chunks;
    char *head, *chunk, *tail, *burst;
    size_t head_bytes, chunk_bytes, tail_bytes, burst_bytes;
};

struct connection {
    int fd, is_open, wants_write;
    char *kept; /* the head of the request, and the beginning of its body */
    size_t kept_bytes, head_bytes, body_bytes, received_bytes;
    int has_head;
    char *output; /* what the socket did not take */
    size_t output_bytes, output_room;
    struct answer *answer;
    int left_chunks;
    double interval, next_time;
    int heap_index; /* -1: no timer */
};

static struct answer answers[MAX_ANSWERS];
static int answer_count;
static struct connection *connections[MAX_CONNECTIONS];
static struct connection *heap[MAX_CONNECTIONS];
static int heap_size, epoll_fd;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static char *copy_bytes(const char *data, size_t bytes) {
    char *copy = malloc(bytes + 1);
    if (!copy) fail("malloc");
    memcpy(copy, data, bytes);
    copy[bytes] = 0;
    return copy;
}

/* Frames data as one chunk of "Transfer-Encoding: chunked". */
static char *frame(const char *data, size_t *bytes) {
    size_t length = strlen(data);
    char *framed = malloc(length + 32);
    if (!framed) fail("malloc");
    int head = sprintf(framed, "%zx\r\n", length);
    memcpy(framed + head, data, length);
    memcpy(framed + head + length, "\r\n", 3);
    *bytes = (size_t)head + length + 2;
    return framed;
}

#define STREAM_HEAD "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
#define CHAT_CHUNK(DELTA, FINISH)                                                                                      \
    "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"mock\","      \
    "\"choices\":[{\"index\":0,\"delta\":" DELTA ",\"finish_reason\":" FINISH "}]}\n\n"

static void build_texts(enum protocol protocol, int chunks, char *head, char *chunk, char *tail) {
    *head = *tail = 0;
    switch (protocol) {
    case CHAT:
        strcpy(head, CHAT_CHUNK("{\"role\":\"assistant\",\"content\":\"\"}", "null"));
        strcpy(chunk, CHAT_CHUNK("{\"content\":\"word \"}", "null"));
        sprintf(tail,
                CHAT_CHUNK("{}", "\"stop\"")
                "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,"
                "\"model\":\"mock\",\"choices\":[],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":%d,"
                "\"total_tokens\":%d}}\n\ndata: [DONE]\n\n",
                chunks, chunks + 10);
        break;
    case ANTHROPIC:
        strcpy(head, "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":"
                     "\"message\",\"role\":\"assistant\",\"model\":\"mock\",\"content\":[],\"stop_reason\":null,"
                     "\"stop_sequence\":null,\"usage\":{\"input_tokens\":10,\"output_tokens\":1}}}\n\n"
                     "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,"
                     "\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n");
        strcpy(chunk, "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,"
                      "\"delta\":{\"type\":\"text_delta\",\"text\":\"word \"}}\n\n");
        sprintf(tail,
                "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n"
                "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\","
                "\"stop_sequence\":null},\"usage\":{\"output_tokens\":%d}}\n\n"
                "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
                chunks);
        break;
    case GEMINI:
        strcpy(chunk, "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"word \"}],\"role\":\"model\"},"
                      "\"index\":0}],\"modelVersion\":\"mock\",\"responseId\":\"r1\"}\r\n\r\n");
        sprintf(tail,
                "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"\"}],\"role\":\"model\"},"
                "\"finishReason\":\"STOP\",\"index\":0}],\"usageMetadata\":{\"promptTokenCount\":10,"
                "\"candidatesTokenCount\":%d,\"totalTokenCount\":%d},\"modelVersion\":\"mock\","
                "\"responseId\":\"r1\"}\r\n\r\n",
                chunks, chunks + 10);
        break;
    default: break;
    }
}

static void append(char **to, const char *data, size_t bytes) {
    memcpy(*to, data, bytes);
    *to += bytes;
}

static void build_whole(struct answer *answer) {
    size_t text = (size_t)answer->chunks * 5;
    char *body = malloc(text + 512), *at = body;
    if (!body) fail("malloc");
    at += sprintf(at, "{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion\",\"created\":1700000000,\"model\":\"mock\","
                      "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"");
    for (int i = 0; i < answer->chunks; i++) at += sprintf(at, "word ");
    at += sprintf(at, "\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":%d,"
                      "\"total_tokens\":%d}}",
                  answer->chunks, answer->chunks + 10);
    answer->burst = malloc((size_t)(at - body) + 256);
    if (!answer->burst) fail("malloc");
    answer->burst_bytes = (size_t)sprintf(
        answer->burst, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
        (size_t)(at - body), body);
    free(body);
}

static struct answer *find_answer(enum protocol protocol, int chunks) {
    for (int i = 0; i < answer_count; i++)
        if (answers[i].protocol == protocol && answers[i].chunks == chunks) return &answers[i];
    if (answer_count == MAX_ANSWERS) exit(1);
    struct answer *answer = &answers[answer_count++];
    answer->protocol = protocol;
    answer->chunks = chunks;
    if (protocol == CHAT_WHOLE) {
        build_whole(answer);
        return answer;
    }
    char head[2048], chunk[1024], tail[2048], joined[4096];
    build_texts(protocol, chunks, head, chunk, tail);
    size_t bytes;
    char *framed = *head ? frame(head, &bytes) : copy_bytes("", bytes = 0);
    sprintf(joined, "%s", STREAM_HEAD);
    memcpy(joined + strlen(STREAM_HEAD), framed, bytes);
    answer->head_bytes = strlen(STREAM_HEAD) + bytes;
    answer->head = copy_bytes(joined, answer->head_bytes);
    answer->chunk = frame(chunk, &answer->chunk_bytes);
    framed = frame(tail, &bytes);
    memcpy(joined, framed, bytes);
    memcpy(joined + bytes, "0\r\n\r\n", 5);
    answer->tail_bytes = bytes + 5;
    answer->tail = copy_bytes(joined, answer->tail_bytes);
    answer->burst_bytes = answer->head_bytes + answer->chunk_bytes * (size_t)chunks + answer->tail_bytes;
    char *at = answer->burst = malloc(answer->burst_bytes);
    if (!at) fail("malloc");
    append(&at, answer->head, answer->head_bytes);
    for (int i = 0; i < chunks; i++) append(&at, answer->chunk, answer->chunk_bytes);
    append(&at, answer->tail, answer->tail_bytes);
    return answer;
}

static void place(struct connection *connection, int index) {
    heap[index] = connection;
    connection->heap_index = index;
}

static void sift_up(int index) {
    struct connection *moved = heap[index];
    for (; index && heap[(index - 1) / 2]->next_time > moved->next_time; index = (index - 1) / 2)
        place(heap[(index - 1) / 2], index);
    place(moved, index);
}

static void sift_down(int index) {
    struct connection *moved = heap[index];
    for (;;) {
        int child = 2 * index + 1;
        if (child >= heap_size) break;
        if (child + 1 < heap_size && heap[child + 1]->next_time < heap[child]->next_time) child++;
        if (heap[child]->next_time >= moved->next_time) break;
        place(heap[child], index);
        index = child;
    }
    place(moved, index);
}

static void set_timer(struct connection *connection, double time) {
    connection->next_time = time;
    if (connection->heap_index < 0) {
        place(connection, heap_size++);
        sift_up(connection->heap_index);
    } else {
        sift_up(connection->heap_index);
        sift_down(connection->heap_index);
    }
}

static void drop_timer(struct connection *connection) {
    int index = connection->heap_index;
    if (index < 0) return;
    connection->heap_index = -1;
    if (index == --heap_size) return;
    place(heap[heap_size], index);
    sift_up(index);
    sift_down(index);
}

static void close_connection(struct connection *connection) {
    drop_timer(connection);
    close(connection->fd);
    connections[connection->fd] = NULL;
    free(connection->kept);
    free(connection->output);
    free(connection);
}

static void watch(struct connection *connection, int wants_write) {
    if (connection->wants_write == wants_write) return;
    connection->wants_write = wants_write;
    struct epoll_event event = {.events = EPOLLIN | (wants_write ? EPOLLOUT : 0), .data.fd = connection->fd};
    epoll_ctl(epoll_fd, EPOLL_CTL_MOD, connection->fd, &event);
}

/* Sends data, and keeps what the socket does not take. Returns 0 when the connection is gone. */
static int send_bytes(struct connection *connection, const char *data, size_t bytes) {
    if (!connection->output_bytes) {
        ssize_t sent = send(connection->fd, data, bytes, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN && errno != EINTR) return 0;
        if (sent > 0) data += sent, bytes -= (size_t)sent;
    }
    if (!bytes) return 1;
    if (connection->output_bytes + bytes > connection->output_room) {
        connection->output_room = (connection->output_bytes + bytes) * 2;
        connection->output = realloc(connection->output, connection->output_room);
        if (!connection->output) fail("realloc");
    }
    memcpy(connection->output + connection->output_bytes, data, bytes);
    connection->output_bytes += bytes;
    watch(connection, 1);
    return 1;
}

static int flush(struct connection *connection) {
    ssize_t sent = send(connection->fd, connection->output, connection->output_bytes, MSG_NOSIGNAL);
    if (sent < 0) return errno == EAGAIN || errno == EINTR;
    connection->output_bytes -= (size_t)sent;
    memmove(connection->output, connection->output + sent, connection->output_bytes);
    if (!connection->output_bytes) watch(connection, 0);
    return 1;
}

static const char *find(const char *text, size_t bytes, const char *wanted) {
    return memmem(text, bytes, wanted, strlen(wanted));
}

/* Sends the plan of an agent's step. */
static int send_plan(struct connection *connection) {
    static unsigned long long number;
    char text[1024], answer[2048];
    sprintf(text,
            CHAT_CHUNK("{\"role\":\"assistant\",\"content\":\"{\\\"thought\\\": \\\"Thought %llu.\\\", "
                       "\\\"next_action\\\": \\\"continue\\\", \\\"tool_calls\\\": [], \\\"concurrent\\\": false}\"}",
                       "\"stop\"")
            "data: [DONE]\n\n",
            number++);
    size_t bytes;
    char *framed = frame(text, &bytes);
    int length = sprintf(answer, "%s%s0\r\n\r\n", STREAM_HEAD, framed);
    free(framed);
    return send_bytes(connection, answer, (size_t)length);
}

static int answer_request(struct connection *connection) {
    const char *text = connection->kept;
    size_t bytes = connection->kept_bytes;
    enum protocol protocol = CHAT;
    const char *line_end = find(text, bytes, "\r\n");
    size_t line_bytes = (size_t)(line_end - text);
    if (find(text, line_bytes, "/messages")) protocol = ANTHROPIC;
    else if (find(text, line_bytes, "GenerateContent")) protocol = GEMINI;
    else if (!find(text, bytes, "\"stream\":true") && !find(text, bytes, "\"stream\": true")) protocol = CHAT_WHOLE;
    int chunks = 1, milliseconds = 0;
    const char *name = find(text, bytes, "mock-");
    connection->kept_bytes = connection->has_head = 0;
    if (name && !strncmp(name, "mock-plan", 9)) return send_plan(connection);
    if (name) sscanf(name, "mock-%d-%d", &chunks, &milliseconds);
    struct answer *answer = find_answer(protocol, chunks);
    if (!milliseconds || protocol == CHAT_WHOLE) return send_bytes(connection, answer->burst, answer->burst_bytes);
    connection->answer = answer;
    connection->left_chunks = chunks;
    connection->interval = milliseconds * 1e-3;
    set_timer(connection, now());
    return send_bytes(connection, answer->head, answer->head_bytes);
}

static int send_next_chunk(struct connection *connection) {
    struct answer *answer = connection->answer;
    if (!connection->left_chunks--) {
        drop_timer(connection);
        return send_bytes(connection, answer->tail, answer->tail_bytes);
    }
    set_timer(connection, connection->next_time + connection->interval);
    return send_bytes(connection, answer->chunk, answer->chunk_bytes);
}

static int read_head(struct connection *connection) {
    const char *end = find(connection->kept, connection->kept_bytes, "\r\n\r\n");
    if (!end) return connection->kept_bytes < KEPT_BYTES;
    connection->has_head = 1;
    connection->head_bytes = (size_t)(end - connection->kept) + 4;
    connection->body_bytes = 0;
    for (const char *at = connection->kept; (at = find(at, (size_t)(end - at), "\r\n")); at += 2)
        if (!strncasecmp(at + 2, "content-length:", 15)) connection->body_bytes = strtoul(at + 17, NULL, 10);
    return 1;
}

/* Only the beginning of a body is kept: it names the model, wherever the members are in order of our services. The
 * end is kept too, because some services write the model last. */
static int receive(struct connection *connection) {
    static char buffer[READ_BYTES];
    for (;;) {
        ssize_t got = recv(connection->fd, buffer, sizeof buffer, 0);
        if (got == 0) return 0;
        if (got < 0) return errno == EAGAIN || errno == EINTR;
        size_t bytes = (size_t)got, kept = connection->kept_bytes;
        if (connection->has_head) connection->received_bytes += bytes;
        size_t room = KEPT_BYTES - kept, taken = bytes < room ? bytes : room;
        memcpy(connection->kept + kept, buffer, taken);
        connection->kept_bytes += taken;
        if (taken < bytes) { /* keep the latest bytes in the second half */
            size_t half = KEPT_BYTES / 2, rest = bytes - taken, last = rest < half ? rest : half;
            memmove(connection->kept + half, connection->kept + half + last, half - last);
            memcpy(connection->kept + KEPT_BYTES - last, buffer + bytes - last, last);
        }
        if (!connection->has_head) {
            if (!read_head(connection)) return 0;
            if (!connection->has_head) continue;
            connection->received_bytes = kept + bytes - connection->head_bytes;
        }
        if (connection->received_bytes >= connection->body_bytes && !answer_request(connection)) return 0;
        if (bytes < sizeof buffer) return 1;
    }
}

static void accept_all(int listener) {
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) return;
        if (fd >= MAX_CONNECTIONS) {
            close(fd);
            continue;
        }
        int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        struct connection *connection = calloc(1, sizeof *connection);
        if (!connection || !(connection->kept = malloc(KEPT_BYTES))) fail("malloc");
        connection->fd = fd;
        connection->heap_index = -1;
        connections[fd] = connection;
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
    }
}

static int listen_on(int port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&address, size) || listen(fd, 4096)) fail("listen");
    getsockname(fd, (struct sockaddr *)&address, &size);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    signal(SIGPIPE, SIG_IGN);
    struct rlimit limit;
    if (!getrlimit(RLIMIT_NOFILE, &limit)) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    int listener = listen_on(atoi(argv[1]));
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[MAX_EVENTS];
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int wait = -1;
        if (heap_size) {
            double left = heap[0]->next_time - now();
            wait = left > 0 ? (int)(left * 1000) : 0;
            if (left > 0 && wait == 0) wait = 1;
        }
        int count = epoll_wait(epoll_fd, events, MAX_EVENTS, wait);
        for (int i = 0; i < count; i++) {
            if (events[i].data.fd == listener) {
                accept_all(listener);
                continue;
            }
            struct connection *connection = connections[events[i].data.fd];
            if (!connection) continue;
            int is_open = !(events[i].events & (EPOLLERR | EPOLLHUP));
            if (is_open && events[i].events & EPOLLOUT) is_open = flush(connection);
            if (is_open && events[i].events & EPOLLIN) is_open = receive(connection);
            if (!is_open) close_connection(connection);
        }
        double time = now();
        while (heap_size && heap[0]->next_time <= time) {
            struct connection *connection = heap[0];
            if (!send_next_chunk(connection)) close_connection(connection);
        }
    }
}
