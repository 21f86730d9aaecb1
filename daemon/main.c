/* holdfastd: one node of a ring, in the foreground. */
#include "base/log.h"
#include "base/secret.h"
#include "daemon/daemon.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static const char usage[] =
    "usage: holdfastd [--home DIR] [-v]\n"
    "Keeps this machine's place in its ring: stores fragments for the others, and answers\n"
    "this machine's own programs. Runs until SIGTERM, logs to stderr, and prints one "
    "line,\n"
    "'ready ADDRESS', when it serves.\n"
    "  --home DIR   the node's home (or HOLDFAST_HOME)\n"
    "  -v           tell more\n";

enum {
    EXIT_DONE = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_NO_SUCH = 10,
    EXIT_LOCKED = 11
};

static int exit_code(enum hf_code code)
{
    if (code == HF_OK) return EXIT_DONE;
    if (code == HF_NOT_FOUND) return EXIT_NO_SUCH;
    return code == HF_LOCKED ? EXIT_LOCKED : EXIT_FAILED;
}

static void raise_file_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

/* sd_notify(3), without its library: one datagram, when somebody waits for it. */
static void notify(const char *state)
{
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): nobody changes the environment */
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t n = path != NULL ? strlen(path) : 0;
    int fd;

    if (n < 2 || n >= sizeof address.sun_path) return;
    memcpy(address.sun_path, path, n);
    if (path[0] == '@') address.sun_path[0] = '\0'; /* an abstract name */
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return;
    if (sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&address,
               (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)) < 0)
        hf_log(HF_LOG_WARN, "daemon", "the service manager cannot be told");
    (void)close(fd);
}

static void on_signal(evutil_socket_t signo, short what, void *arg)
{
    (void)signo;
    (void)what;
    daemon_stop(arg);
    notify("STOPPING=1");
}

static void on_reload(evutil_socket_t signo, short what, void *arg)
{
    (void)signo;
    (void)what;
    daemon_reload(arg);
}

static void say_ready(const struct daemon *daemon)
{
    const char *listen = daemon->member.settings.listen;
    const char *colon = strrchr(listen, ':');

    (void)printf("ready %.*s:%u\n", (int)(colon - listen), listen, daemon->port);
    (void)fflush(stdout);
    notify("READY=1");
}

static enum hf_code serve(struct daemon *daemon, struct hf_err *err)
{
    struct event_base *base = loop_base(daemon->loop);
    struct event *terminate = evsignal_new(base, SIGTERM, on_signal, daemon);
    struct event *interrupt = evsignal_new(base, SIGINT, on_signal, daemon);
    struct event *reload = evsignal_new(base, SIGHUP, on_reload, daemon);
    enum hf_code rc;

    if (terminate == NULL || interrupt == NULL || reload == NULL ||
        event_add(terminate, NULL) != 0 || event_add(interrupt, NULL) != 0 ||
        event_add(reload, NULL) != 0) {
        rc = hf_fail(err, HF_NO_MEMORY, "no memory for signals");
    } else {
        say_ready(daemon);
        rc = loop_run(daemon->loop, err);
    }
    if (terminate != NULL) event_free(terminate);
    if (interrupt != NULL) event_free(interrupt);
    if (reload != NULL) event_free(reload);
    return rc;
}

/* -1: go on; else the exit code. */
static int parse(int argc, char **argv, const char **home, enum hf_log_level *level)
{
    static const struct option options[] = {{"home", required_argument, NULL, 'H'},
                                            {"verbose", no_argument, NULL, 'v'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    int found;

    /* NOLINTNEXTLINE(concurrency-mt-unsafe): before any thread is started */
    while ((found = getopt_long(argc, argv, "vh", options, NULL)) != -1) {
        if (found == 'H') *home = optarg;
        if (found == 'v') *level = HF_LOG_DEBUG;
        if (found == 'h') {
            (void)fputs(usage, stdout);
            return EXIT_DONE;
        }
        if (found == '?') break;
    }
    if (found == -1 && optind == argc) return -1;
    (void)fputs(usage, stderr);
    return EXIT_USAGE;
}

int main(int argc, char **argv)
{
    struct daemon *daemon = calloc(1, sizeof *daemon);
    enum hf_log_level level = HF_LOG_INFO;
    const char *home = NULL;
    struct hf_err err;
    enum hf_code rc;
    int status = parse(argc, argv, &home, &level);

    if (status >= 0 || daemon == NULL) {
        free(daemon);
        return status >= 0 ? status : EXIT_FAILED;
    }
    hf_secret_harden_process();
    raise_file_limit();
    (void)umask(077);
    (void)signal(SIGPIPE, SIG_IGN);
    hf_log_open(level, STDERR_FILENO, 1);
    rc = daemon_open(daemon, home, &err);
    if (rc == HF_OK) rc = serve(daemon, &err);
    if (rc != HF_OK) {
        char text[2 * sizeof err.msg];

        (void)fprintf(stderr, "holdfastd: %s\n", hf_escape(err.msg, text, sizeof text));
    }
    daemon_close(daemon);
    free(daemon);
    return exit_code(rc);
}
