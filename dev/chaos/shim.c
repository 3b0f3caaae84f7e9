/* Preloaded into a process: its clock can be set, and its disk be full, while it runs.
 *
 * The control file, which TRASPASO_CHAOS_SHIM names, holds two numbers of 64 bits: nanoseconds to add to the
 * real time of day, and what of the disk is full (1: files of the write-ahead log, 2: all others).
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t *control;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("TRASPASO_CHAOS_SHIM");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *found = mmap(NULL, 16, PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    if (found != MAP_FAILED)
        control = found;
}

static void *next(const char *name) { return dlsym(RTLD_NEXT, name); }

/* ------------------------------------------------------------------------------------------ the clock */

int clock_gettime(clockid_t id, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real)
        real = next("clock_gettime");
    int result = real(id, now);
    if (!result && control && control[0] && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) {
        int64_t all = now->tv_sec * INT64_C(1000000000) + now->tv_nsec + control[0];
        now->tv_sec = all / 1000000000;
        now->tv_nsec = all % 1000000000;
    }
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec exact;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &exact))
        return -1;
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *where) {
    struct timespec exact;
    clock_gettime(CLOCK_REALTIME, &exact);
    if (where)
        *where = exact.tv_sec;
    return exact.tv_sec;
}

/* ------------------------------------------------------------------------------------------- the disk */

/* Whether a write to this file, up to that place, finds no room: only where it would have to grow. */
static int full(int fd, off_t until) {
    if (!control || !control[1])
        return 0;
    char link[64], path[512];
    struct stat about;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0 || fstat(fd, &about) || !S_ISREG(about.st_mode) || until <= about.st_size)
        return 0;
    path[length] = 0;
    if (strstr(path, "/pg_wal/"))
        return (control[1] & 1) != 0;
    return (control[1] & 2) && (strstr(path, "/base/") || strstr(path, "/global/") || strstr(path, "/pg_xact/"));
}

static ssize_t no_room(void) {
    errno = ENOSPC;
    return -1;
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at) {
    static ssize_t (*real)(int, const void *, size_t, off_t);
    if (!real)
        real = next("pwrite");
    return full(fd, at + (off_t)count) ? no_room() : real(fd, bytes, count, at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t at) { return pwrite(fd, bytes, count, at); }

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) {
    static ssize_t (*real)(int, const struct iovec *, int, off_t);
    if (!real)
        real = next("pwritev");
    off_t until = at;
    for (int n = 0; n < count; n++)
        until += (off_t)parts[n].iov_len;
    return full(fd, until) ? no_room() : real(fd, parts, count, at);
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t at) {
    return pwritev(fd, parts, count, at);
}

ssize_t write(int fd, const void *bytes, size_t count) {
    static ssize_t (*real)(int, const void *, size_t);
    if (!real)
        real = next("write");
    if (control && control[1]) {
        off_t at = lseek(fd, 0, SEEK_CUR);
        if (at >= 0 && full(fd, at + (off_t)count))
            return no_room();
    }
    return real(fd, bytes, count);
}

int posix_fallocate(int fd, off_t at, off_t length) {
    static int (*real)(int, off_t, off_t);
    if (!real)
        real = next("posix_fallocate");
    return full(fd, at + length) ? ENOSPC : real(fd, at, length);
}

int posix_fallocate64(int fd, off64_t at, off64_t length) { return posix_fallocate(fd, at, length); }
