// SPDX-License-Identifier: Apache-2.0
// read PID|CORE|RECORDING: the JSON document of a reading with locals. Recordings end in .pyb.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pybraid.h"

static int to_stdout(void *ctx, const char *text, size_t len)
{
    (void)ctx;
    return fwrite(text, 1, len, stdout) != len;
}

static int open_target(struct pyb_session *s, const char *word, struct pyb_error *err)
{
    size_t n = strlen(word);
    char *end;
    long pid = strtol(word, &end, 10);
    if (!*end)
        return pyb_open_pid(s, (int32_t)pid, err);
    return n > 4 && strcmp(word + n - 4, ".pyb") == 0 ? pyb_open_recording(s, word, err)
        : pyb_open_core(s, word, NULL, err);
}

int main(int argc, char **argv)
{
    struct pyb_read_options options = {.size = sizeof options, .flags = PYB_READ_LOCALS};
    struct pyb_error err = {0};
    struct pyb_session *s;
    struct pyb_process *p;
    if (argc != 2)
        return fprintf(stderr, "read PID|CORE|RECORDING.pyb\n"), 2;
    if (pyb_session_new(NULL, &s, &err) != 0 || open_target(s, argv[1], &err) != 0 ||
        pyb_read(s, NULL, 0, false, &options, &p, &err) != 0)
        return fprintf(stderr, "%s\n%s\n", err.what, err.remedy), 1;
    int code = pyb_json(p, to_stdout, NULL);
    pyb_process_free(p);
    pyb_session_free(s);
    return code == 0 ? 0 : 1;
}
