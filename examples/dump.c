// SPDX-License-Identifier: Apache-2.0
// The stacks of a process, in the library's own text: cc dump.c -o dump $(pkg-config --cflags --libs pybraid) && ./dump PID
#include <pybraid.h>
#include <stdio.h>
#include <stdlib.h>

static int to_stdout(void *ctx, const char *text, size_t len)
{
    (void)ctx;
    return fwrite(text, 1, len, stdout) == len ? 0 : -1;
}

static int show(struct pyb_session *session, int32_t pid, struct pyb_error *err)
{
    struct pyb_dump_options how = {.size = sizeof(how), .flags = PYB_DUMP_FINDINGS};
    struct pyb_text_options text = {.size = sizeof(text), .current = -1};
    struct pyb_process *process;
    int status = pyb_open_pid(session, pid, err);
    if (status == PYB_OK)
        status = pyb_dump(session, &how, NULL, &process, err);
    if (status != PYB_OK)
        return status;
    printf("%s, Python %s, %u threads\n", process->executable, process->python, process->n_threads);
    for (uint32_t i = 0; i < process->n_findings; i++)
        printf("%s\n", process->findings[i].text);
    for (uint32_t i = 0; i < process->n_threads && status == PYB_OK; i++)
        status = pyb_text_thread(&process->threads[i], &text, to_stdout, NULL);
    pyb_process_free(process);
    return status;
}

int main(int argc, char **argv)
{
    struct pyb_session *session;
    struct pyb_error err = {0};
    int status = argc == 2 ? pyb_session_new(NULL, &session, &err) : PYB_E_USAGE;
    if (status == PYB_OK) {
        status = show(session, atoi(argv[1]), &err);
        pyb_session_free(session);
    }
    if (status != PYB_OK)
        fprintf(stderr, "%s\n%s\n", argc == 2 ? err.what : "usage: dump PID", err.remedy);
    return status == PYB_OK ? 0 : 1;
}
