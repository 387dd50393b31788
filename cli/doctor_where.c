// SPDX-License-Identifier: Apache-2.0
// Host or container, and which: by the files that engines leave in their containers, then by the names of control groups.
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "doctor.h"

static bool there_is(const char *root, const char *path)
{
    char full[400];
    proc_format(full, sizeof(full), "%s%s", root, path);
    return access(full, F_OK) == 0;
}

static void found(struct where *w, enum place place, const char *evidence)
{
    w->place = place;
    proc_format(w->evidence, sizeof(w->evidence), "%s", evidence);
}

// id="4a5b..." of /run/.containerenv, which only a privileged container has; name="..." is as good.
static void podman_id(const char *root, struct where *w)
{
    char text[2048];
    if (proc_read(root, text, sizeof(text), "/run/.containerenv") <= 0)
        return;
    const char *at = strstr(text, "name=\"");
    at = at ? at + 6 : NULL;
    size_t len = at ? strspn(at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") : 0;
    if (len > 0 && len < sizeof(w->id))
        proc_format(w->id, sizeof(w->id), "%.*s", (int)len, at);
}

// The first 64 hexadecimal digits in a control group's name are a container's id; engines take 12 of them for one.
static void id_in_cgroup(const char *text, struct where *w)
{
    size_t run = 0;
    for (const char *p = text; *p; p++) {
        run = isxdigit((unsigned char)*p) ? run + 1 : 0;
        if (run == 64) {
            proc_format(w->id, sizeof(w->id), "%.12s", p - 63);
            return;
        }
    }
}

static void by_cgroup(const char *root, struct where *w)
{
    static const struct {
        const char *part;
        enum place place;
    } known[] = {{"kubepods", PLACE_KUBERNETES}, {"libpod", PLACE_PODMAN}, {"docker", PLACE_DOCKER}, {"lxc", PLACE_CONTAINER}};
    char text[8192];
    // The first process of this PID namespace: our own group may be one that its init made.
    if (proc_read(root, text, sizeof(text), "/proc/1/cgroup") <= 0)
        return;
    for (size_t i = 0; w->place == PLACE_HOST && i < sizeof(known) / sizeof(*known); i++) {
        if (strstr(text, known[i].part))
            found(w, known[i].place, "/proc/1/cgroup");
    }
    if (w->place != PLACE_HOST)
        id_in_cgroup(text, w);
}

// A host name that an engine gave: the beginning of the id.
static bool is_short_id(const char *name)
{
    return strlen(name) == 12 && strspn(name, "0123456789abcdef") == 12;
}

void where_find(const char *root, const char *kubernetes_service_host, const char *hostname, struct where *ret)
{
    *ret = (struct where){.systemd = there_is(root, "/run/systemd/system")};
    if (kubernetes_service_host && *kubernetes_service_host)
        found(ret, PLACE_KUBERNETES, "KUBERNETES_SERVICE_HOST");
    else if (there_is(root, "/var/run/secrets/kubernetes.io"))
        found(ret, PLACE_KUBERNETES, "/var/run/secrets/kubernetes.io");
    else if (there_is(root, "/run/.containerenv"))
        found(ret, PLACE_PODMAN, "/run/.containerenv");
    else if (there_is(root, "/.dockerenv"))
        found(ret, PLACE_DOCKER, "/.dockerenv");
    else
        by_cgroup(root, ret);
    if (ret->place == PLACE_HOST) {
        proc_line(root, ret->engine, sizeof(ret->engine), "/run/systemd/container"); // what systemd found out
        if (*ret->engine)
            found(ret, PLACE_CONTAINER, "/run/systemd/container");
    }
    if (ret->place == PLACE_PODMAN)
        podman_id(root, ret);
    if (ret->place == PLACE_KUBERNETES)
        proc_format(ret->id, sizeof(ret->id), "%s", hostname);
    else if (ret->place != PLACE_HOST && !*ret->id && is_short_id(hostname))
        proc_format(ret->id, sizeof(ret->id), "%s", hostname);
}
