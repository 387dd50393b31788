// SPDX-License-Identifier: Apache-2.0
#include "memory/cache.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "memory/readers.h"

#define NONE UINT32_MAX
#define FIRST_PAGES 64u
#define DEFAULT_MAX_PAGES 16384u
#define LARGE (256u * PYB_PAGE) // a read of this size goes past the cache: it would push out everything else

static struct pyb_cache *cache_of(struct pyb_memory *m)
{
    return (struct pyb_cache *)m;
}

static uint32_t *bucket_of(const struct pyb_cache *c, pyb_addr page)
{
    uint64_t h = (page / PYB_PAGE) * UINT64_C(0x9e3779b97f4a7c15);
    return &c->buckets[(uint32_t)(h >> 32) & (c->n_buckets - 1)];
}

// The list of pages by age.
static void unlink_age(struct pyb_cache *c, uint32_t i)
{
    struct pyb_page *p = &c->pages[i];
    *(p->newer == NONE ? &c->newest : &c->pages[p->newer].older) = p->older;
    *(p->older == NONE ? &c->oldest : &c->pages[p->older].newer) = p->newer;
}

static void link_newest(struct pyb_cache *c, uint32_t i)
{
    struct pyb_page *p = &c->pages[i];
    p->newer = NONE;
    p->older = c->newest;
    *(c->newest == NONE ? &c->oldest : &c->pages[c->newest].newer) = i;
    c->newest = i;
}

static uint32_t lookup(const struct pyb_cache *c, pyb_addr page)
{
    if (c->n_used == 0)
        return NONE;
    uint32_t i = *bucket_of(c, page);
    while (i != NONE && c->pages[i].addr != page)
        i = c->pages[i].chain;
    return i;
}

// The page asked for last is mostly the one that is asked for next.
static struct pyb_page *find(struct pyb_cache *c, pyb_addr page)
{
    uint32_t i = c->newest;
    if (i == NONE || c->pages[i].addr != page)
        i = lookup(c, page);
    if (i == NONE)
        return NULL;
    if (i != c->newest) {
        unlink_age(c, i);
        link_newest(c, i);
    }
    c->pages[i].touched = true;
    return &c->pages[i];
}

static void remove_from_bucket(struct pyb_cache *c, uint32_t i)
{
    uint32_t *link = bucket_of(c, c->pages[i].addr);
    while (*link != i)
        link = &c->pages[*link].chain;
    *link = c->pages[i].chain;
}

static bool grow(struct pyb_cache *c)
{
    uint32_t cap = c->cap ? c->cap * 2 : FIRST_PAGES;
    if (cap > c->max_pages)
        cap = c->max_pages;
    uint32_t n_buckets = c->n_buckets ? c->n_buckets : FIRST_PAGES;
    while (n_buckets < cap)
        n_buckets *= 2;
    uint32_t *buckets = pyb_alloc(c->base.ctx, n_buckets * sizeof(*buckets));
    if (!buckets)
        return false;
    struct pyb_page *pages =
        pyb_realloc(c->base.ctx, c->pages, c->cap * sizeof(*pages), cap * sizeof(*pages));
    if (!pages) {
        pyb_free(c->base.ctx, buckets);
        return false;
    }
    pyb_free(c->base.ctx, c->buckets);
    c->pages = pages;
    c->cap = cap;
    c->buckets = buckets;
    c->n_buckets = n_buckets;
    memset(buckets, 0xff, n_buckets * sizeof(*buckets));
    for (uint32_t i = 0; i < c->n_used; i++) {
        uint32_t *bucket = bucket_of(c, pages[i].addr);
        pages[i].chain = *bucket;
        *bucket = i;
    }
    return true;
}

// A page with memory that is in no list: a fresh one, or the least recently used. NONE: out of memory.
static uint32_t take(struct pyb_cache *c)
{
    if (c->n_used == c->max_pages) {
        uint32_t i = c->oldest;
        remove_from_bucket(c, i);
        unlink_age(c, i);
        return i;
    }
    if (c->n_used == c->cap && !grow(c))
        return NONE;
    if (c->n_used == c->n_data) {
        c->pages[c->n_data].data = pyb_alloc(c->base.ctx, PYB_PAGE);
        if (!c->pages[c->n_data].data)
            return NONE;
        c->n_data++;
    }
    return c->n_used++;
}

static int add(struct pyb_cache *c, pyb_addr addr, uint32_t *ret, struct pyb_error *err)
{
    if (c->keep && c->n_used == c->max_pages)
        return pyb_fail(err, PYB_E_LIMIT, "a recording of more than %u pages", c->max_pages);
    uint32_t i = take(c);
    if (i == NONE)
        return pyb_fail(err, PYB_E_NOMEM, "no memory for a page of the target");
    struct pyb_page *p = &c->pages[i];
    p->addr = addr;
    p->len = 0;
    p->touched = false;
    uint32_t *bucket = bucket_of(c, addr);
    p->chain = *bucket;
    *bucket = i;
    link_newest(c, i);
    *ret = i;
    return 0;
}

// A reader may refuse a whole page of which the first part is readable (a debugger on a truncated core). The
// tee must know how far it goes, because nothing can be asked later.
static int find_end(struct pyb_cache *c, struct pyb_page *p, struct pyb_error *err)
{
    int rc = 0;
    for (uint32_t step = PYB_PAGE / 2; step > 0 && p->len + step <= PYB_PAGE && rc == 0; step /= 2) {
        struct pyb_range r = {.addr = p->addr + p->len, .buf = p->data + p->len, .len = step};
        rc = pyb_memory_readv(c->below, &r, 1, err);
        p->len += (uint32_t)r.done;
    }
    return rc;
}

// Pages without content must not stay; the cache starts afresh, the tee goes back to what it had.
static void drop_batch(struct pyb_cache *c, size_t count)
{
    if (!c->keep) {
        pyb_cache_invalidate(&c->base);
        return;
    }
    for (; count > 0; count--) { // nothing is evicted: the last pages are those of the batch
        c->n_used--;
        remove_from_bucket(c, c->n_used);
        unlink_age(c, c->n_used);
    }
}

static bool is_cacheable(const struct pyb_cache *c, const struct pyb_range *r)
{
    pyb_addr end;
    return r->addr >= PYB_PAGE && !__builtin_add_overflow(r->addr, (uint64_t)r->len, &end) &&
           (r->len < LARGE || c->keep);
}

static pyb_addr page_of(pyb_addr addr)
{
    return addr & ~(pyb_addr)(PYB_PAGE - 1);
}

// Notes which pages are missing from `offset` of ranges[0] on, up to a full batch.
static int gather(struct pyb_cache *c, const struct pyb_range *ranges, size_t n, size_t offset, size_t *count,
                  struct pyb_error *err)
{
    size_t limit = c->max_pages < PYB_CACHE_BATCH ? c->max_pages : PYB_CACHE_BATCH;
    *count = 0;
    for (size_t i = 0; i < n; i++, offset = 0) {
        const struct pyb_range *r = &ranges[i];
        while (is_cacheable(c, r) && offset < r->len && *count < limit) {
            pyb_addr page = page_of(r->addr + offset);
            // Not find(): pages of this batch must stay younger than all others, or they evict each other.
            if (lookup(c, page) == NONE) {
                uint32_t at = NONE;
                int rc = add(c, page, &at, err);
                if (rc)
                    return rc;
                c->batch_pages[*count] = at;
                c->batch[*count] =
                    (struct pyb_range){.addr = page, .buf = c->pages[at].data, .len = PYB_PAGE};
                ++*count;
            }
            offset += PYB_PAGE - (size_t)((r->addr + offset) % PYB_PAGE);
        }
    }
    return 0;
}

// Loads the page at `offset` of ranges[0], and in the same vectored read as many missing pages of what
// follows as a batch holds.
static int load(struct pyb_cache *c, const struct pyb_range *ranges, size_t n, size_t offset,
                struct pyb_error *err)
{
    size_t count;
    c->base.stamp++; // pages may be taken for others
    int rc = gather(c, ranges, n, offset, &count, err);
    if (rc == PYB_E_LIMIT && count > 0)
        rc = 0; // the recording is full: what is asked first is still served
    c->misses += count;
    if (rc == 0)
        rc = pyb_memory_readv(c->below, c->batch, count, err);
    for (size_t i = 0; i < count && rc == 0; i++) {
        struct pyb_page *p = &c->pages[c->batch_pages[i]];
        p->len = (uint32_t)c->batch[i].done;
        if (c->keep && p->len < PYB_PAGE)
            rc = find_end(c, p, err);
    }
    if (rc)
        drop_batch(c, count);
    return rc;
}

// What the reader refused as part of a page may be there when asked for alone.
static int read_past_end(struct pyb_cache *c, struct pyb_range *r, size_t want, struct pyb_error *err)
{
    struct pyb_range rest = {.addr = r->addr + r->done, .buf = (char *)r->buf + r->done, .len = want};
    int rc = pyb_memory_readv(c->below, &rest, 1, err);
    r->done += rest.done;
    return rc;
}

static int read_range(struct pyb_cache *c, struct pyb_range *r, size_t n_following, struct pyb_error *err)
{
    int rc = 0;
    while (r->done < r->len && rc == 0) {
        pyb_addr at = r->addr + r->done;
        struct pyb_page *p = find(c, page_of(at));
        if (p) {
            c->hits++;
        } else {
            rc = load(c, r, n_following, r->done, err);
            if (rc || !(p = find(c, page_of(at))))
                break;
        }
        size_t offset = (size_t)(at % PYB_PAGE);
        size_t want = PYB_PAGE - offset;
        if (want > r->len - r->done)
            want = r->len - r->done;
        size_t have = offset < p->len ? p->len - offset : 0;
        size_t got = have < want ? have : want;
        if (got)
            memcpy((char *)r->buf + r->done, p->data + offset, got);
        r->done += got;
        if (got == want)
            continue;
        size_t before = r->done;
        if (!c->keep)
            rc = read_past_end(c, r, want - got, err);
        if (r->done - before < want - got)
            break;
    }
    return rc;
}

int pyb_cache_readv(struct pyb_memory *m, struct pyb_range *ranges, size_t n, struct pyb_error *err)
{
    struct pyb_cache *c = cache_of(m);
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++) {
        if (is_cacheable(c, &ranges[i]))
            rc = read_range(c, &ranges[i], n - i, err);
        else
            rc = pyb_memory_readv(c->below, &ranges[i], 1, err);
    }
    return rc;
}

// A page that is there; what is not is read the usual way, and found here afterwards.
static void window(struct pyb_memory *m, pyb_addr addr, struct pyb_window *ret)
{
    struct pyb_cache *c = cache_of(m);
    struct pyb_page *p = addr < PYB_PAGE ? NULL : find(c, page_of(addr));
    if (!p)
        return;
    c->hits++;
    *ret = (struct pyb_window){.start = p->addr, .data = p->data, .len = p->len, .stamp = m->stamp};
}

void pyb_cache_prefetch(struct pyb_memory *m, const struct pyb_range *ranges, size_t n)
{
    struct pyb_cache *c = cache_of(m);
    for (size_t i = 0; i < n; i++) {
        const struct pyb_range *r = &ranges[i];
        for (size_t offset = 0; is_cacheable(c, r) && offset < r->len;
             offset += PYB_PAGE - (size_t)((r->addr + offset) % PYB_PAGE)) {
            if (lookup(c, page_of(r->addr + offset)) == NONE && load(c, r, n - i, offset, NULL))
                return; // the read that follows says why
        }
    }
}

void pyb_cache_invalidate(struct pyb_memory *m)
{
    struct pyb_cache *c = cache_of(m);
    if (c->keep)
        return;
    if (c->n_used)
        memset(c->buckets, 0xff, c->n_buckets * sizeof(*c->buckets));
    c->n_used = 0;
    c->newest = c->oldest = NONE;
    m->stamp++;
    pyb_memory_invalidate(c->below);
}

static bool same_pages(const struct pyb_cache *c, const struct pyb_range *pages, size_t n)
{
    if (c->n_used != n)
        return false;
    for (size_t i = 0; i < n; i++)
        if (c->pages[i].addr != pages[i].addr)
            return false;
    return true;
}

void pyb_cache_renew(struct pyb_memory *m, const struct pyb_range *pages, size_t n)
{
    struct pyb_cache *c = cache_of(m);
    if (n == 0 || n > PYB_CACHE_BATCH || c->keep || !same_pages(c, pages, n)) {
        pyb_cache_invalidate(m);
        pyb_memory_prefetch(m, pages, n);
        return;
    }
    m->stamp++;
    pyb_memory_invalidate(c->below);
    for (size_t i = 0; i < n; i++)
        c->batch[i] = (struct pyb_range){.addr = c->pages[i].addr, .buf = c->pages[i].data, .len = PYB_PAGE};
    c->misses += n;
    if (pyb_memory_readv(c->below, c->batch, n, NULL)) {
        pyb_cache_invalidate(m); // the read that follows says why
        return;
    }
    for (size_t i = 0; i < n; i++) {
        c->pages[i].len = (uint32_t)c->batch[i].done;
        c->pages[i].touched = false;
    }
}

void pyb_cache_destroy(struct pyb_memory *m)
{
    struct pyb_cache *c = cache_of(m);
    for (uint32_t i = 0; i < c->n_data; i++)
        pyb_free(m->ctx, c->pages[i].data);
    pyb_free(m->ctx, c->pages);
    pyb_free(m->ctx, c->buckets);
    if (!c->borrows)
        pyb_memory_destroy(c->below);
    pyb_free(m->ctx, c);
}

int pyb_cache_new(struct pyb_ctx *ctx, struct pyb_memory *below, const struct pyb_memory_ops *ops,
                  size_t max_pages, bool keep, struct pyb_cache **ret, struct pyb_error *err)
{
    *ret = NULL;
    struct pyb_cache *c = pyb_alloc(ctx, sizeof(*c));
    if (!c)
        return pyb_fail(err, PYB_E_NOMEM, "no memory for a page cache");
    c->base = (struct pyb_memory){
        .ops = ops,
        .ctx = ctx,
        .ptr_size = below->ptr_size,
        .big_endian = below->big_endian,
        .machine = below->machine,
        .stamp = 1,
    };
    c->below = below;
    c->keep = keep;
    c->max_pages = max_pages == 0 ? DEFAULT_MAX_PAGES : max_pages < NONE / 2 ? (uint32_t)max_pages : NONE / 2;
    c->newest = c->oldest = NONE;
    *ret = c;
    return 0;
}

static int by_address(const void *a, const void *b)
{
    const struct pyb_range *x = a, *y = b;
    return x->addr < y->addr ? -1 : x->addr > y->addr;
}

// Nothing came and nothing went: the usual case, where pages stand as they were prefetched.
static bool touched_same(const struct pyb_cache *c, const struct pyb_range *ranges, size_t n)
{
    if (!same_pages(c, ranges, n))
        return false;
    for (size_t i = 0; i < n; i++)
        if (!c->pages[i].touched)
            return false;
    return true;
}

int pyb_cache_touched(struct pyb_memory *m, struct pyb_range **ranges, size_t *n, size_t *cap)
{
    struct pyb_cache *c = cache_of(m);
    if (touched_same(c, *ranges, *n))
        return 0;
    if (*cap < c->n_used) {
        struct pyb_range *more =
            pyb_realloc(m->ctx, *ranges, *cap * sizeof(*more), c->n_used * sizeof(*more));
        if (!more)
            return PYB_E_NOMEM;
        *ranges = more;
        *cap = c->n_used;
    }
    *n = 0;
    for (uint32_t i = 0; i < c->n_used; i++)
        if (c->pages[i].touched)
            (*ranges)[(*n)++] = (struct pyb_range){.addr = c->pages[i].addr, .len = PYB_PAGE};
    if (*n)
        qsort(*ranges, *n, sizeof(**ranges), by_address);
    return 0;
}

static const struct pyb_memory_ops cache_ops = {
    .name = "cache",
    .readv = pyb_cache_readv,
    .prefetch = pyb_cache_prefetch,
    .window = window,
    .invalidate = pyb_cache_invalidate,
    .destroy = pyb_cache_destroy,
};

int pyb_cache_open(struct pyb_ctx *ctx, struct pyb_memory *below, size_t max_pages, struct pyb_memory **ret,
                   struct pyb_error *err)
{
    struct pyb_cache *c;
    int rc = pyb_cache_new(ctx, below, &cache_ops, max_pages, false, &c, err);
    *ret = c ? &c->base : NULL;
    return rc;
}

static bool is_cache(const struct pyb_memory *m)
{
    return m->ops->readv == pyb_cache_readv;
}

int pyb_cache_borrow(struct pyb_ctx *ctx, struct pyb_memory *below, struct pyb_memory **ret,
                     struct pyb_error *err)
{
    int rc = pyb_cache_open(ctx, below, 0, ret, err);
    if (rc == 0)
        cache_of(*ret)->borrows = true;
    return rc;
}

uint64_t pyb_cache_hits(const struct pyb_memory *m)
{
    return is_cache(m) ? ((const struct pyb_cache *)m)->hits : 0;
}

struct pyb_memory *pyb_cache_below(struct pyb_memory *m)
{
    return is_cache(m) ? cache_of(m)->below : m;
}
