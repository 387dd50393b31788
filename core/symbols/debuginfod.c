// SPDX-License-Identifier: Apache-2.0
#include "symbols/debuginfod.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_NS INT64_C(5000000000) // for one file: somebody waits for the stack

struct client;
typedef int (*progress_fn)(struct client *client, long done, long all);
struct library {
    void *handle;
    struct client *(*begin)(void);
    void (*end)(struct client *client);
    int (*find)(struct client *client, const unsigned char *build_id, int len, char **path);
    void (*set_progress)(struct client *client, progress_fn fn);
    void (*set_data)(struct client *client, void *data);
    void *(*get_data)(struct client *client);
};
struct asking {
    struct pyb_ctx *ctx;
    int64_t until;
    bool late;
};

static int64_t now_ns(void)
{
    struct timespec t;
    return clock_gettime(CLOCK_MONOTONIC, &t) == 0 ? (int64_t)t.tv_sec * 1000000000 + t.tv_nsec : 0;
}

// dlsym() gives data pointers, which C does not turn into functions.
static bool get(const struct library *l, const char *name, void *ret)
{
    void *symbol = dlsym(l->handle, name);
    *(void **)ret = symbol;
    return symbol != NULL;
}

static bool open_library(struct library *l)
{
    l->handle = dlopen("libdebuginfod.so.1", RTLD_NOW | RTLD_LOCAL);
    return l->handle && get(l, "debuginfod_begin", &l->begin) && get(l, "debuginfod_end", &l->end) &&
           get(l, "debuginfod_find_debuginfo", &l->find) && get(l, "debuginfod_set_progressfn", &l->set_progress) &&
           get(l, "debuginfod_set_user_data", &l->set_data) && get(l, "debuginfod_get_user_data", &l->get_data);
}

// libdebuginfod gives no pointer of ours to this function but through the client, whose accessor was looked up at run time.
static _Thread_local const struct library *asked;

static int on_progress(struct client *client, long done, long all)
{
    (void)done;
    (void)all;
    struct asking *a = asked->get_data(client);
    a->late = now_ns() > a->until;
    return a->late || pyb_ctx_check(a->ctx, NULL) != 0;
}

static int ask(const struct library *l, struct asking *a, const uint8_t *build_id, size_t len)
{
    struct client *client = l->begin();
    char *path = NULL;
    if (!client)
        return -1;
    asked = l;
    l->set_data(client, a);
    l->set_progress(client, on_progress);
    int fd = l->find(client, build_id, (int)len, &path);
    free(path);
    l->end(client);
    asked = NULL;
    return fd >= 0 ? fd : -1;
}

int pyb_debuginfod_find(struct pyb_ctx *ctx, const uint8_t *build_id, size_t len)
{
    const char *servers = getenv("DEBUGINFOD_URLS");
    struct library l = {0};
    struct asking a = {.ctx = ctx, .until = now_ns() + PATIENCE_NS};
    if (!ctx->debug_server || !servers || !*servers || len == 0 || len > 64)
        return -1;
    int fd = -1;
    if (open_library(&l))
        fd = ask(&l, &a, build_id, len);
    else
        ctx->debug_server = false;
    if (a.late)
        ctx->debug_server = false;
    return fd; // the library stays loaded: what it loads itself does not bear being unloaded
}
