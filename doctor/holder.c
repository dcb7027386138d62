#include "doctor/holder.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LISTENING 0x0A /* the kernel's TCP_LISTEN */

/* Does a line of /proc/net/tcp or tcp6 listen on that address?  0.0.0.0 means every address. */
static bool is_ours(const char *line, in_addr_t address, int port, unsigned *user,
                    unsigned long *inode)
{
    char local[33];
    unsigned at, state;
    unsigned long ip = 0;
    size_t len;

    if (sscanf(line, " %*d: %32[0-9A-F]:%X %*[0-9A-F]:%*X %X %*X:%*X %*X:%*X %*X %u %*d %lu", local,
               &at, &state, user, inode) != 5 ||
        state != LISTENING || (int)at != port)
        return false;
    /* IPv4 in the last eight digits, mapped into IPv6 or not; :: and 0.0.0.0 are all zeros. */
    len = strlen(local);
    ip = strtoul(local + len - 8, NULL, 16);
    return address == INADDR_ANY || ip == 0 || ip == address;
}

static bool find_inode(const char *table, in_addr_t address, int port, unsigned *user,
                       unsigned long *inode)
{
    FILE *f = fopen(table, "re");
    char line[512];
    bool is_found = false;

    while (f && !is_found && fgets(line, sizeof line, f))
        is_found = is_ours(line, address, port, user, inode);
    if (f)
        fclose(f);
    return is_found;
}

static bool has_socket(const char *pid, const char *link)
{
    char path[300], target[64];
    struct dirent *entry;
    bool is_found = false;
    DIR *dir;

    snprintf(path, sizeof path, "/proc/%.20s/fd", pid);
    dir = opendir(path);
    while (dir && !is_found && (entry = readdir(dir))) {
        ssize_t len = readlinkat(dirfd(dir), entry->d_name, target, sizeof target - 1);

        target[len < 0 ? 0 : len] = '\0';
        is_found = strcmp(target, link) == 0;
    }
    if (dir)
        closedir(dir);
    return is_found;
}

static void find_process(unsigned long inode, struct holder *out)
{
    char link[64], path[64];
    struct dirent *entry;
    DIR *dir = opendir("/proc");
    FILE *f;

    snprintf(link, sizeof link, "socket:[%lu]", inode);
    while (dir && !out->pid && (entry = readdir(dir)))
        if (isdigit((unsigned char)entry->d_name[0]) && has_socket(entry->d_name, link))
            out->pid = strtol(entry->d_name, NULL, 10);
    if (dir)
        closedir(dir);
    if (!out->pid)
        return;
    snprintf(path, sizeof path, "/proc/%ld/comm", out->pid);
    f = fopen(path, "re");
    if (f && fgets(out->program, sizeof out->program, f))
        out->program[strcspn(out->program, "\n")] = '\0';
    if (f)
        fclose(f);
}

bool holder_find(const char *host, int port, struct holder *out)
{
    struct holder h = {0};
    in_addr_t address = strcmp(host, "localhost") == 0 ? htonl(INADDR_LOOPBACK) : inet_addr(host);
    unsigned long inode;

    if (!find_inode("/proc/net/tcp", address, port, &h.user, &inode) &&
        !find_inode("/proc/net/tcp6", address, port, &h.user, &inode))
        return false;
    find_process(inode, &h);
    *out = h;
    return true;
}

long holder_descriptors(long pid)
{
    char path[64], line[256];
    long hard = 0;
    FILE *f;

    snprintf(path, sizeof path, "/proc/%ld/limits", pid);
    f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "Max open files %*s %ld", &hard) == 1)
            break;
    if (f)
        fclose(f);
    return hard;
}

const char *holder_text(const struct holder *h, char out[100])
{
    if (h->pid)
        snprintf(out, 100, "pid %ld (%s)", h->pid, h->program);
    else
        snprintf(out, 100, "a process of user %u", h->user);
    return out;
}
