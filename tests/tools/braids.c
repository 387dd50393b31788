// SPDX-License-Identifier: Apache-2.0
// braids PID SIGNAL REPORT COUNT SEED EVERY: stops a one-threaded target (spin.py) at random instructions; of each stop two lines of JSON: the
// document of our own reading (own unwinder, braid and all); then {"oracle": [pcs], "report": [begin, end]}: libunwind's view of the
// native stack, word by word by ptrace (slow: at every EVERYth stop, else empty), and the bytes of REPORT where faulthandler's handler wrote the stack of that very instruction
// (-1 where it is not asked, because it would crash, see stops.c).
#include <elf.h>
#include <fcntl.h>
#include <libunwind-ptrace.h>
#include <sys/uio.h>

#include "api/session.h"
#include "interp/frame.h"
#include "random_stop.h"
#include "unwind/unwind.h"

#define ORACLE_FRAMES 4096

struct job {
    struct random_stop stop;
    struct pyb_session *s;
    unw_addr_space_t space;
    void *upt;
};

static void give_up(const struct pyb_error *err)
{
    fprintf(stderr, "braids: %s\n", err->what);
    exit(2);
}

static int print(void *ctx, const char *text, size_t len)
{
    (void)ctx;
    return fwrite(text, 1, len, stdout) == len ? 0 : -1;
}

static struct pyb_regs registers(const struct job *j)
{
    unsigned char data[1024];
    struct iovec iov = {data, sizeof(data)};
    struct pyb_regs regs;
    struct pyb_error err = {0};
    if (ptrace(PTRACE_GETREGSET, j->stop.pid, (void *)(uintptr_t)NT_PRSTATUS, &iov))
        die("PTRACE_GETREGSET");
    if (pyb_regs_from_kernel(EM_X86_64, 8, false, data, iov.iov_len, &regs, &err))
        give_up(&err);
    return regs;
}

static void print_oracle(struct job *j, bool look)
{
    unw_cursor_t cursor;
    const char *comma = "";
    printf("{\"oracle\": [");
    if (look && unw_init_remote(&cursor, j->space, j->upt) == 0) {
        int n = 0;
        do {
            unw_word_t pc;
            if (unw_get_reg(&cursor, UNW_REG_IP, &pc) || pc == 0)
                break;
            printf("%s\"0x%lx\"", comma, (unsigned long)pc);
            comma = ", ";
        } while (n++ < ORACLE_FRAMES && unw_step(&cursor) > 0);
    }
    printf("], \"report\": [");
}

static void print_ours(struct job *j, struct pyb_unwinder *unwinder, const struct pyb_regs *regs)
{
    struct pyb_arena arena;
    struct pyb_unwound unwound;
    struct pyb_error err = {0};
    struct pyb_process *process;
    pyb_arena_init(&arena, &j->s->ctx);
    pyb_session_invalidate(j->s);
    if (pyb_unwind(unwinder, regs, ORACLE_FRAMES, &arena, &unwound, &err))
        give_up(&err);
    struct pyb_native_stack stack = {
        .size = sizeof(stack), .tid = j->stop.pid, .thread_pointer = regs->thread_pointer, .active = 1,
        .frames = unwound.frames, .n_frames = unwound.n, .truncated = unwound.truncated};
    if (pyb_read(j->s, &stack, 1, true, NULL, &process, &err))
        give_up(&err);
    if (pyb_json(process, print, NULL))
        die("stdout");
    pyb_process_free(process);
    pyb_arena_deinit(&arena);
}

// Where faulthandler follows a frame in the middle of being made (stops.c).
static bool may_ask(struct job *j)
{
    struct pyb_arena arena;
    struct pyb_threads threads;
    struct pyb_frames frames = {0};
    struct pyb_error err = {0};
    struct pyb_python *py = j->s->python;
    pyb_arena_init(&arena, &j->s->ctx);
    if (pyb_threads_read(py, &arena, &threads, &err) || threads.n < 1 ||
        pyb_frames_read(py, &threads.items[0], 1000, &arena, &frames, &err))
        give_up(&err);
    bool empty = frames.n_evaluations && frames.evaluations[0].n == 0;
    bool set_up = empty && py->minor <= 12 && frames.evaluations[0].stack_addr == threads.items[0].top;
    pyb_arena_deinit(&arena);
    return py->major == 3 && !set_up && !(py->minor == 13 && empty);
}

static void one_stop(struct job *j, bool look)
{
    struct pyb_buf theirs;
    struct pyb_error err = {0};
    pyb_buf_init(&theirs, &j->s->ctx, 0);
    interrupt(&j->stop);
    struct pyb_regs regs = registers(j);
    if (!j->s->unwinder && pyb_unwinder_new(&j->s->ctx, &j->s->target, &j->s->unwinder, &err))
        give_up(&err);
    off_t begin = j->stop.reported;
    pyb_session_invalidate(j->s);
    struct pyb_python *py;
    if (pyb_session_python(j->s, &py, &err))
        give_up(&err);
    bool asks = may_ask(j);
    print_ours(j, j->s->unwinder, &regs);
    print_oracle(j, look);
    if (asks)
        ask(&j->stop);
    go_on(&j->stop, asks);
    if (asks)
        read_report(&j->stop, &theirs);
    printf("%ld, %ld]}\n", asks ? (long)begin : -1L, asks ? (long)j->stop.reported : -1L);
    pyb_buf_deinit(&theirs);
}

int main(int argc, char **argv)
{
    if (argc != 7) {
        fprintf(stderr, "usage: braids PID SIGNAL REPORT COUNT SEED EVERY\n");
        return 2;
    }
    struct job j = {.stop = {.pid = (int32_t)strtol(argv[1], NULL, 10), .number = (int)strtol(argv[2], NULL, 10)}};
    struct pyb_error err = {0};
    j.stop.report = open(argv[3], O_RDONLY);
    if (j.stop.report < 0)
        die(argv[3]);
    j.stop.reported = lseek(j.stop.report, 0, SEEK_END);
    if (pyb_session_new(NULL, &j.s, &err) || pyb_open_pid(j.s, j.stop.pid, &err))
        give_up(&err);
    j.space = unw_create_addr_space(&_UPT_accessors, 0);
    j.upt = _UPT_create(j.stop.pid);
    if (!j.space || !j.upt)
        die("libunwind");
    unw_set_caching_policy(j.space, UNW_CACHE_GLOBAL);
    if (ptrace(PTRACE_SEIZE, j.stop.pid, 0, 0))
        die("PTRACE_SEIZE");
    unsigned seed = (unsigned)strtoul(argv[5], NULL, 10);
    long every = strtol(argv[6], NULL, 10);
    for (long left = strtol(argv[4], NULL, 10); left > 0; left--) {
        usleep((useconds_t)(rand_r(&seed) % 1500));
        one_stop(&j, every > 0 && left % every == 0);
    }
    _UPT_destroy(j.upt);
    unw_destroy_addr_space(j.space);
    pyb_session_free(j.s);
    return 0;
}
