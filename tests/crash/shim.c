/* Stands between a process and its disk (LD_PRELOAD): counts the calls that change or sync files of one folder, and at the
 * N-th of them kills the process (SIGKILL), tears the write in half first, or lets calls fail. What was synced is copied to
 * a second folder at every sync: that is what a disk holds for certain when the power goes. A process is its plain self
 * until it arms the shim. What is sent to a socket in the folder counts as a write, so that a process may be killed between
 * any two things it says to a database server. SQLite's -shm file is left out: it is an index that is made anew, and no promise rests on it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

enum { COUNT, KILL, TEAR, FAIL_WRITES, FAIL_SYNCS, FAIL_OPENS, LIE };
enum kind { WRITE, SYNC, NAME, OPEN };

static char folder[PATH_MAX], synced[PATH_MAX];
static size_t folder_length;
static long first, last, points;
static int how, error_number;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* Begins to count, from one; the calls `at` to `until` are those that something happens to. */
void crash_arm(const char *in, const char *copies, long at, long until, int what, int number) {
    snprintf(folder, sizeof folder, "%s/", in);
    snprintf(synced, sizeof synced, "%s/", copies);
    folder_length = strlen(folder);
    first = at, last = until, how = what, error_number = number, points = 0;
}

long crash_points(void) { return points; }

static const char *ours(const char *path) {
    size_t length = strlen(path);
    if (!folder_length || strncmp(path, folder, folder_length)) return NULL;
    if (length > 4 && !strcmp(path + length - 4, "-shm")) return NULL;
    return path + folder_length;
}

static const char *of_file(int file, char *path) {
    char link[32];
    ssize_t length;
    if (!folder_length) return NULL;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    length = readlink(link, path, PATH_MAX - 1);
    if (length < 0) return NULL;
    path[length] = 0;
    return ours(path);
}

static void die(void) {
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

/* Counts a call; 0: let it be made, 1: tear it, -1: let it fail. Each way to fail counts what it fails only. */
static int point(enum kind kind) {
    long number;
    if ((how == FAIL_OPENS) != (kind == OPEN)) return 0;
    if (how == FAIL_SYNCS && kind != SYNC) return 0;
    if (how == FAIL_WRITES && kind == SYNC) return 0;
    number = __sync_add_and_fetch(&points, 1);
    if (number < first || number > last || how == COUNT) return 0;
    if (how == KILL || (how == TEAR && kind != WRITE)) die();
    if (how == TEAR) return 1;
    errno = error_number;
    return -1;
}

static void copy_synced(int file, const char *name) {
    static __thread char block[65536];
    char path[PATH_MAX];
    struct stat about;
    off_t at = 0;
    ssize_t got;
    int copy;
    if (!*synced || fstat(file, &about) || !S_ISREG(about.st_mode)) return;
    snprintf(path, sizeof path, "%s%s", synced, name);
    copy = REAL(open)(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (copy < 0) die();
    /* By this descriptor: to close another one of the file would drop the process's locks on it. */
    while ((got = pread(file, block, sizeof block, at)) > 0) {
        if (REAL(write)(copy, block, got) != got) die();
        at += got;
    }
    close(copy);
}

#define WRITES(type, name, parameters, file, half, ...)                \
    type name parameters {                                             \
        char path[PATH_MAX];                                           \
        int met = of_file(file, path) ? point(WRITE) : 0;               \
        if (met < 0) return -1;                                        \
        if (met > 0) { (void)!(half); die(); }                         \
        return REAL(name)(__VA_ARGS__);                                \
    }

WRITES(ssize_t, write, (int f, const void *b, size_t n), f, REAL(write)(f, b, n / 2), f, b, n)
WRITES(ssize_t, pwrite, (int f, const void *b, size_t n, off_t o), f, REAL(pwrite)(f, b, n / 2, o), f, b, n, o)
WRITES(ssize_t, pwrite64, (int f, const void *b, size_t n, off64_t o), f, REAL(pwrite64)(f, b, n / 2, o), f, b, n, o)
WRITES(ssize_t, writev, (int f, const struct iovec *v, int n), f, REAL(write)(f, v->iov_base, v->iov_len / 2), f, v, n)
WRITES(ssize_t, pwritev, (int f, const struct iovec *v, int n, off_t o), f,
       REAL(pwrite)(f, v->iov_base, v->iov_len / 2, o), f, v, n, o)
WRITES(ssize_t, pwritev64, (int f, const struct iovec *v, int n, off64_t o), f,
       REAL(pwrite64)(f, v->iov_base, v->iov_len / 2, o), f, v, n, o)
WRITES(int, ftruncate, (int f, off_t n), f, 0, f, n)
WRITES(int, ftruncate64, (int f, off64_t n), f, 0, f, n)

#define SYNCS(name)                                                    \
    int name(int f) {                                                  \
        char path[PATH_MAX];                                           \
        const char *which = of_file(f, path);                          \
        int done;                                                      \
        if (which && point(SYNC) < 0) return -1;                       \
        if (which && how == LIE) return 0; /* a disk that says so and does not */ \
        done = REAL(name)(f);                                          \
        if (which && !done) copy_synced(f, which);                     \
        return done;                                                   \
    }

SYNCS(fsync)
SYNCS(fdatasync)

/* Names are taken to be on the disk at once, in both folders: nothing here rests on a rename that is not synced. */
int unlink(const char *path) {
    char copy[PATH_MAX];
    const char *which = ours(path);
    if (which) {
        if (point(NAME) < 0) return -1;
        snprintf(copy, sizeof copy, "%s%s", synced, which);
        if (*synced) REAL(unlink)(copy);
    }
    return REAL(unlink)(path);
}

int rename(const char *from, const char *to) {
    char copy[PATH_MAX], copy_to[PATH_MAX];
    const char *which = ours(from), *target = ours(to);
    if (which || target) {
        if (point(NAME) < 0) return -1;
        if (*synced && which && target) {
            snprintf(copy, sizeof copy, "%s%s", synced, which);
            snprintf(copy_to, sizeof copy_to, "%s%s", synced, target);
            REAL(rename)(copy, copy_to);
        }
    }
    return REAL(rename)(from, to);
}

static int at_server(int file) {
    struct sockaddr_un peer;
    socklen_t length = sizeof peer;
    if (!folder_length || getpeername(file, (struct sockaddr *)&peer, &length) || peer.sun_family != AF_UNIX) return 0;
    return length > sizeof peer.sun_family && ours(peer.sun_path) != NULL;
}

ssize_t send(int file, const void *content, size_t size, int flags) {
    int met = at_server(file) ? point(WRITE) : 0;
    if (met < 0) return -1;
    if (met > 0) { (void)!REAL(send)(file, content, size / 2, flags); die(); }
    return REAL(send)(file, content, size, flags);
}

ssize_t sendmsg(int file, const struct msghdr *message, int flags) {
    int met = at_server(file) ? point(WRITE) : 0;
    if (met < 0) return -1;
    if (met > 0) { (void)!REAL(send)(file, message->msg_iov->iov_base, message->msg_iov->iov_len / 2, flags); die(); }
    return REAL(sendmsg)(file, message, flags);
}

/* A disk that is mounted read-only says so when a file is opened for writing. */
static int may_open(const char *path, int flags) {
    return (flags & (O_WRONLY | O_RDWR | O_CREAT)) && ours(path) ? point(OPEN) : 0;
}

#define OPENS(name)                                                    \
    int name(const char *path, int flags, ...) {                       \
        va_list more;                                                  \
        mode_t mode;                                                   \
        va_start(more, flags);                                         \
        mode = flags & O_CREAT ? va_arg(more, mode_t) : 0;             \
        va_end(more);                                                  \
        return may_open(path, flags) < 0 ? -1 : REAL(name)(path, flags, mode); \
    }

OPENS(open)
OPENS(open64)
