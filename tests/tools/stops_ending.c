// SPDX-License-Identifier: Apache-2.0 stops_ending ROUNDS SEED process|thread: threads of a target are stopped
// and resumed, singly or all together, while the target ends at a random moment: it exits, is killed, crashes,
// or runs another program (from its first thread, or from another). It must come to that end at once, with its
// own exit status, as its parent sees it, and no call of ours may fail in another way than "it has ended".
// Prints figures; exit 0 only if all held.
#include "stopping.h"

#define THREADS 6
#define MAX_THREADS 64
#define PROMPT_MS 3000 // the machine may be busy; a lost target never ends

enum ending { EXIT, KILLED, CRASH, EXEC, EXEC_OTHER_THREAD, THREADS_COME_AND_GO, N_ENDINGS };
static const char *const names[] = {"exit", "killed", "crash", "exec", "exec_other", "churn"};

struct plan { enum ending ending; unsigned us; };
static int go[2]; // a byte: the target may begin

static void *spin(void *arg)
{
    for (;;)
        __asm__ volatile("" ::: "memory");
    return arg;
}

static void *doze(void *arg)
{
    for (;;)
        sleep_us(300);
    return arg;
}

static void *nothing(void *arg)
{
    return arg;
}

static void churn(uint64_t end)
{
    while (now_ns() < end) {
        pthread_t t;
        if (pthread_create(&t, NULL, nothing, NULL) == 0)
            (void)pthread_join(t, NULL);
    }
}

static void *end_it(void *arg)
{
    const struct plan *p = arg;
    uint64_t end = now_ns() + p->us * 1000u;
    if (p->ending == THREADS_COME_AND_GO)
        churn(end);
    while (now_ns() < end)
        ;
    if (p->ending == EXEC || p->ending == EXEC_OTHER_THREAD)
        (void)execl("/bin/sh", "sh", "-c", "exit 7", (char *)NULL);
    if (p->ending == CRASH)
        (void)raise(SIGUSR1); // its default action is the end
    if (p->ending == KILLED)
        (void)kill(getpid(), SIGKILL);
    exit(p->ending == EXEC || p->ending == EXEC_OTHER_THREAD ? 94 : 7);
}

static void run_target(void *arg)
{
    struct plan *p = arg;
    char byte;
    for (int i = 0; i < THREADS; i++)
        start_thread(i % 3 == 0 ? spin : doze, NULL);
    if (read(go[0], &byte, 1) != 1)
        _exit(93);
    if (p->ending == EXEC_OTHER_THREAD) {
        start_thread(end_it, p);
        doze(NULL);
    }
    end_it(p);
}

struct counts { unsigned long stops, gone, late, let_go, wrong, slowest_us; };

static void count(struct counts *c, int code, const struct pyb_error *err)
{
    c->gone += code == PYB_E_GONE;
    c->late += code == PYB_E_LIMIT;
    if (code != 0 && code != PYB_E_GONE && code != PYB_E_LIMIT) {
        fprintf(stderr, "%d: %s\n", code, err->what);
        c->wrong++;
    }
}

static void resume(struct pyb_stopper *s, int32_t tid, struct counts *c)
{
    struct pyb_error err = {0};
    int code = pyb_resume(s, tid, &err);
    if (code == PYB_E_LIMIT)
        c->let_go++;
    else
        count(c, code, &err);
}

static void stop_threads(struct pyb_stopper *s, const int32_t *tids, size_t n, bool together, struct counts *c)
{
    bool held[MAX_THREADS] = {false};
    struct pyb_stopped st;
    for (size_t i = 0; i < n; i++) {
        struct pyb_error err = {0};
        int code = pyb_stop(s, tids[i], &st, &err);
        held[i] = code == 0;
        c->stops += held[i];
        count(c, code, &err);
        if (held[i] && !together)
            resume(s, tids[i], c);
    }
    for (size_t i = 0; i < n && together; i++) {
        if (held[i])
            resume(s, tids[i], c);
    }
}

static bool has_ended(int32_t pid, int *ret_status)
{
    return waitpid(pid, ret_status, WNOHANG) == pid;
}

static bool is_right(enum ending ending, int status)
{
    if (ending == KILLED || ending == CRASH)
        return WIFSIGNALED(status) && WTERMSIG(status) == (ending == KILLED ? SIGKILL : SIGUSR1);
    return WIFEXITED(status) && WEXITSTATUS(status) == 7;
}

static void one_round(unsigned long round, bool by_thread, unsigned *seed, struct counts *c)
{
    struct plan p = {.ending = (enum ending)(rand_r(seed) % N_ENDINGS), .us = (unsigned)rand_r(seed) % 4000};
    struct pyb_ctx ctx;
    int32_t tids[MAX_THREADS];
    int status = 0;
    bool ended = false;
    if (pipe(go) != 0)
        die("pipe: %s", strerror(errno));
    pyb_ctx_init(&ctx, NULL);
    int32_t target = start_child(run_target, &p);
    if (!WAIT_FOR(list_threads(&ctx, target, tids, MAX_THREADS) == THREADS + 1, 5000))
        die("round %lu: the target does not begin", round);
    struct pyb_stopper *s = new_stopper(&ctx, target, by_thread);
    (void)!write(go[1], "g", 1);
    uint64_t end = now_ns() + (p.us + 200) * 1000u, last = end + (uint64_t)PROMPT_MS * 1000000u;
    bool together = rand_r(seed) % 2;
    // Goes on after the target's end too: ids that name nobody.
    for (; !ended || now_ns() < end; together = !together) {
        size_t n = list_threads(&ctx, target, tids, MAX_THREADS);
        stop_threads(s, tids, n ? n : 1, together, c);
        ended = ended || has_ended(target, &status);
        if (now_ns() > last)
            die("round %lu: %s: the target does not end", round, names[p.ending]);
    }
    if (now_ns() > end && (now_ns() - end) / 1000 > c->slowest_us)
        c->slowest_us = (unsigned long)((now_ns() - end) / 1000);
    if (!is_right(p.ending, status))
        die("round %lu: %s: status 0x%x", round, names[p.ending], (unsigned)status);
    pyb_stopper_free(s);
    (void)close(go[0]);
    (void)close(go[1]);
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: stops_ending ROUNDS SEED process|thread\n");
        return 2;
    }
    unsigned long rounds = strtoul(argv[1], NULL, 10);
    unsigned seed = (unsigned)strtoul(argv[2], NULL, 10);
    struct counts c = {0};
    for (unsigned long round = 0; round < rounds; round++)
        one_round(round, strcmp(argv[3], "thread") == 0, &seed, &c);
    int32_t child;
    if (children_of(getpid(), &child, 1) != 0)
        die("process %d is left over", child);
    printf("rounds=%lu stops=%lu gone=%lu late=%lu let_go=%lu slowest_us=%lu wrong=%lu\n", rounds, c.stops, c.gone,
           c.late, c.let_go, c.slowest_us, c.wrong);
    return c.wrong != 0;
}
