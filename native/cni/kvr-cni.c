/*
 * kube-vpp-router's CNI executable: hands a container runtime's call to the node's daemon.
 *
 * The runtime starts it for each call with CNI_* in the environment and the network
 * configuration on standard input (CNI specification 1.1.0, sections 2 and 3). It decides
 * nothing: the daemon validates, acts and words the answer. Only VERSION is answered here, so
 * that a runtime can probe before the daemon runs; and without a daemon every other call gets
 * error 11, "try again later".
 *
 * Protocol, one call a connection on a unix stream socket, lengths in decimal bytes:
 *   request  "kvr-cni 1\n" *( name " " length "\n" value "\n" ) "end\n"
 *            names: CNI_COMMAND CNI_CONTAINERID CNI_NETNS CNI_IFNAME CNI_ARGS CNI_PATH (absent
 *            when unset) and "stdin"
 *   reply    "kvr-cni 1 " exit-code " " length "\n" value, then the daemon closes
 *
 * Linked statically and without dependencies: it runs in whatever the runtime's host is.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define DEFAULT_SOCKET "/run/kube-vpp-router/cni.sock"
#define STDIN_MAX_BYTES (1024 * 1024)
#define ENV_MAX_BYTES 4096
#define REPLY_MAX_BYTES (1024 * 1024)
#define DEADLINE_MS 110000 /* below kubelet's two minutes for a runtime request */
#define BACKLOG_RETRY_MS 50

/* CNI specification 1.1.0, section 5, "Error codes". */
enum { CNI_IO = 5, CNI_DECODE = 6, CNI_CONFIG = 7, CNI_TRY_AGAIN = 11 };

static long long deadline;
static char cni_version[32] = "1.1.0";

static long long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static int remaining_ms(void)
{
    long long left = deadline - now_ms();
    return left > 0 ? (int)left : 0;
}

/* Writes text as the inside of a JSON string. */
static void put_json(const char *text)
{
    for (const unsigned char *at = (const unsigned char *)text; *at; at++) {
        if (*at == '"' || *at == '\\')
            printf("\\%c", *at);
        else if (*at < 0x20 || *at >= 0x7f)
            printf("\\u%04x", *at);
        else
            putchar(*at);
    }
}

__attribute__((format(printf, 2, 3), noreturn)) static void fail(int code, const char *format, ...)
{
    char message[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    printf("{\"cniVersion\":\"%s\",\"code\":%d,\"msg\":\"kube-vpp-router: ", cni_version, code);
    put_json(message);
    printf("\"}\n");
    exit(1);
}

static void await_fd(int fd, short events, const char *what)
{
    struct pollfd waiting = { .fd = fd, .events = events };
    int ready;
    while ((ready = poll(&waiting, 1, remaining_ms())) < 0)
        if (errno != EINTR)
            fail(CNI_IO, "cannot wait for %s: %s", what, strerror(errno));
    if (ready == 0)
        fail(CNI_TRY_AGAIN, "no answer within %d s: %s", DEADLINE_MS / 1000, what);
}

/* Reads until the end of the file; one more than `max` bytes is an error. */
static size_t read_all(int fd, char *into, size_t max, const char *what)
{
    size_t length = 0;
    for (;;) {
        await_fd(fd, POLLIN, what);
        ssize_t got = read(fd, into + length, max + 1 - length);
        if (got < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (got < 0)
            fail(fd == STDIN_FILENO ? CNI_IO : CNI_TRY_AGAIN, "cannot read %s: %s", what,
                 strerror(errno));
        if (got == 0)
            return length;
        length += (size_t)got;
        if (length > max)
            fail(CNI_DECODE, "%s is larger than %zu bytes", what, max);
    }
}

static void write_all(int fd, const char *from, size_t length)
{
    while (length > 0) {
        await_fd(fd, POLLOUT, "the daemon to read");
        ssize_t sent = send(fd, from, length, MSG_NOSIGNAL);
        if (sent < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (sent < 0)
            fail(CNI_TRY_AGAIN, "the daemon went away: %s", strerror(errno));
        from += sent;
        length -= (size_t)sent;
    }
}

/*
 * Copies the string value of a key of the outermost object; 0 when there is none, -1 when it
 * does not fit or has an escape other than \/ \\ \". Text that is not JSON gives 0 or garbage
 * that the caller refuses: the daemon, which really parses, words that error.
 */
static int find_string(const char *json, const char *end, const char *key, char *into, size_t max)
{
    int depth = 0, at_key = 0, matched = 0;
    for (const char *at = json; at < end; at++) {
        if (*at == '{' || *at == '[') {
            depth++;
            at_key = *at == '{';
            matched = 0;
        } else if (*at == '}' || *at == ']') {
            depth--;
            matched = 0;
        } else if (*at == ',') {
            at_key = 1;
            matched = 0;
        } else if (*at == '"') {
            const char *start = ++at;
            while (at < end && *at != '"')
                at += *at == '\\' && at + 1 < end ? 2 : 1;
            if (at >= end)
                return 0;
            if (depth == 1 && at_key) {
                matched = (size_t)(at - start) == strlen(key) && !memcmp(start, key, strlen(key));
                at_key = 0;
            } else if (depth == 1 && matched) {
                size_t length = 0;
                for (const char *from = start; from < at; from++) {
                    if (*from == '\\' && (++from >= at || !strchr("/\\\"", *from)))
                        return -1;
                    if (length + 1 >= max || *from == '\0')
                        return -1;
                    into[length++] = *from;
                }
                into[length] = '\0';
                return 1;
            }
        }
    }
    return 0;
}

/* The call's own version, for our answers; only what a version can look like. */
static void take_version(const char *stdin_text, size_t length)
{
    char found[sizeof cni_version];
    if (find_string(stdin_text, stdin_text + length, "cniVersion", found, sizeof found) != 1)
        return;
    if (*found && strspn(found, "0123456789.-abcdefghijklmnopqrstuvwxyz") == strlen(found))
        strcpy(cni_version, found);
}

static int connect_daemon(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof address.sun_path)
        fail(CNI_CONFIG, "socket path is longer than %zu bytes", sizeof address.sun_path - 1);
    strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        fail(CNI_IO, "cannot make a socket: %s", strerror(errno));
    while (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        /* EAGAIN is a full backlog: unix(7). */
        if (errno != EAGAIN && errno != EINTR)
            fail(CNI_TRY_AGAIN, "the daemon is not there: %s: %s", path, strerror(errno));
        if (remaining_ms() == 0)
            fail(CNI_TRY_AGAIN, "the daemon does not accept calls");
        poll(NULL, 0, BACKLOG_RETRY_MS);
    }
    return fd;
}

static void send_field(int fd, const char *name, const char *value, size_t length)
{
    char head[64];
    int head_length = snprintf(head, sizeof head, "%s %zu\n", name, length);
    write_all(fd, head, (size_t)head_length);
    write_all(fd, value, length);
    write_all(fd, "\n", 1);
}

static void send_request(int fd, const char *stdin_text, size_t stdin_length)
{
    static const char *const names[] = { "CNI_COMMAND", "CNI_CONTAINERID", "CNI_NETNS",
                                         "CNI_IFNAME",  "CNI_ARGS",        "CNI_PATH" };
    write_all(fd, "kvr-cni 1\n", 10);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *value = getenv(names[i]);
        if (value == NULL)
            continue;
        if (strlen(value) > ENV_MAX_BYTES)
            fail(CNI_DECODE, "%s is longer than %d bytes", names[i], ENV_MAX_BYTES);
        send_field(fd, names[i], value, strlen(value));
    }
    send_field(fd, "stdin", stdin_text, stdin_length);
    write_all(fd, "end\n", 4);
}

static int print_reply(const char *reply, size_t length)
{
    int exit_code = 0, head_length = 0;
    size_t body_length = 0;
    if (length == 0)
        fail(CNI_TRY_AGAIN, "the daemon closed the connection without an answer");
    if (sscanf(reply, "kvr-cni 1 %d %zu%n", &exit_code, &body_length, &head_length) != 2 ||
        reply[head_length] != '\n' || length - (size_t)head_length - 1 != body_length)
        fail(CNI_TRY_AGAIN, "the daemon's answer was cut short");
    if (fwrite(reply + head_length + 1, 1, body_length, stdout) != body_length || fflush(stdout))
        return 1;
    return exit_code == 0 ? 0 : 1;
}

int main(void)
{
    static char stdin_text[STDIN_MAX_BYTES + 1], reply[REPLY_MAX_BYTES + 256];
    char path[sizeof((struct sockaddr_un *)0)->sun_path];
    const char *command = getenv("CNI_COMMAND");

    signal(SIGPIPE, SIG_IGN);
    deadline = now_ms() + DEADLINE_MS;
    if (command == NULL) {
        fprintf(stderr, "kube-vpp-router CNI executable; started by a container runtime\n");
        fail(4, "CNI_COMMAND is not set");
    }
    size_t length = read_all(STDIN_FILENO, stdin_text, STDIN_MAX_BYTES, "standard input");
    take_version(stdin_text, length);
    if (!strcmp(command, "VERSION")) {
        printf("{\"cniVersion\":\"%s\",\"supportedVersions\":"
               "[\"0.3.0\",\"0.3.1\",\"0.4.0\",\"1.0.0\",\"1.1.0\"]}\n",
               cni_version);
        return 0;
    }
    switch (find_string(stdin_text, stdin_text + length, "socket", path, sizeof path)) {
    case -1:
        fail(CNI_CONFIG, "the configuration's \"socket\" is not a path of a socket");
    case 0: {
        const char *from_env = getenv("KVR_CNI_SOCKET");
        snprintf(path, sizeof path, "%s", from_env && *from_env ? from_env : DEFAULT_SOCKET);
    }
    }
    int fd = connect_daemon(path);
    send_request(fd, stdin_text, length);
    size_t reply_length = read_all(fd, reply, sizeof reply - 2, "the daemon's answer");
    reply[reply_length] = '\0';
    return print_reply(reply, reply_length);
}
