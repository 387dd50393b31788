// SPDX-License-Identifier: Apache-2.0
// pyannotate: perf script's text with Python frames in place.
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "annotate.h"

// As pybraid's (docs/man/pyannotate.1).
enum { EXIT_OK, EXIT_FAILED, EXIT_USAGE, EXIT_NOENT, EXIT_PERM, EXIT_PARTIAL = 6 };
enum { READ_BYTES = 256 << 10, FOLD_BYTES = 64 << 20 };

static const char help[] =
    "Usage: perf script | pyannotate [OPTIONS]\n\n"
    "perf's samples with Python frames in their places: reads the text of perf script and\n"
    "writes the same text; what stands between Python functions only to call them is left\n"
    "out, names are written so that flame graph tools can read them. The functions are\n"
    "known where the program was started with python -X perf (3.12 or later).\n\n"
    "  -a, --all           also the interpreter's plumbing frames\n"
    "  -p, --python        Python frames only\n"
    "      --lines         py::NAME:FILE:LINE where perf script printed the line (-F +srcline)\n"
    "      --fold          folded stacks: comm;outermost;...;innermost COUNT\n"
    "      --tid           with --fold: each thread for itself\n"
    "      --json          one JSON document a sample and line\n"
    "      --strict        exit with 6 when a sample's Python functions have no names\n"
    "  -o, --output FILE   write there instead of standard output\n"
    "      --version\n"
    "  -h, --help\n\n"
    "Exit codes: 0 ok, 1 failed, 2 usage, 3 no such file, 4 permission, 6 partial under --strict.\n\n"
    "Example: perf record -F 999 -g -- python3 -X perf app.py\n"
    "         perf script | pyannotate --fold | flamegraph.pl > app.svg\n";

struct options {
    struct ann_options filter;
    const char *output;
    bool strict;
};

static int usage(const char *what, const char *word)
{
    fprintf(stderr, "pyannotate: %s%s\nTry: pyannotate --help\n", what, word);
    return EXIT_USAGE;
}

static int print(const char *text)
{
    return fputs(text, stdout) < 0 || fflush(stdout) != 0 ? EXIT_FAILED : EXIT_OK;
}

// -1: go on; else the exit code.
static int parse(int argc, char **argv, struct options *ret)
{
    static const struct option options[] = {
        {"all", no_argument, NULL, 'a'}, {"python", no_argument, NULL, 'p'}, {"lines", no_argument, NULL, 'L'},
        {"fold", no_argument, NULL, 'F'}, {"tid", no_argument, NULL, 'T'}, {"json", no_argument, NULL, 'J'},
        {"strict", no_argument, NULL, 'S'}, {"output", required_argument, NULL, 'o'}, {"version", no_argument, NULL, 'V'},
        {"help", no_argument, NULL, 'h'}, {0}};
    bool fold = false, json = false;
    int c;
    opterr = 0;
    *ret = (struct options){.filter.fold_limit = FOLD_BYTES};
    while ((c = getopt_long(argc, argv, "apo:h", options, NULL)) != -1) {
        switch (c) {
        case 'a': ret->filter.all = true; break;
        case 'p': ret->filter.python = true; break;
        case 'L': ret->filter.lines = true; break;
        case 'F': fold = true; break;
        case 'T': ret->filter.tid = true; break;
        case 'J': json = true; break;
        case 'S': ret->strict = true; break;
        case 'o': ret->output = optarg; break;
        case 'V': return print("pyannotate " PYB_VERSION "\n");
        case 'h': return print(help);
        default: return usage("no option ", argv[optind - 1]);
        }
    }
    if (argc > optind)
        return usage("it reads standard input (perf script | pyannotate); no arguments, such as ", argv[optind]);
    if (fold && json)
        return usage("--fold or --json, not both", "");
    if (ret->filter.tid && !fold)
        return usage("--tid goes with --fold", "");
    ret->filter.form = fold ? ANN_FOLDED : json ? ANN_JSON : ANN_TEXT;
    return -1;
}

static int cannot(const char *what, const char *name, int error)
{
    fprintf(stderr, "pyannotate: cannot %s %s: %s\n", what, name, strerror(error));
    return error == EACCES || error == EPERM ? EXIT_PERM : error == ENOENT ? EXIT_NOENT : EXIT_FAILED;
}

static int put(struct ann_filter *f, FILE *to, const char *name)
{
    errno = 0;
    size_t n = f->out.len;
    bool written = (n == 0 || fwrite(f->out.data, 1, n, to) == n) && fflush(to) == 0;
    int error = errno ? errno : EIO;
    pyb_buf_clear(&f->out);
    if (written)
        return EXIT_OK;
    return error == EPIPE ? EXIT_FAILED : cannot("write to", name, error);
}

// All of the input. What a read() brought goes out before the next: perf script may be following a recording that is still made.
static int run(struct ann_filter *f, FILE *to, const char *name)
{
    static char block[READ_BYTES];
    bool first = true;
    for (;;) {
        ssize_t n = read(STDIN_FILENO, block, sizeof(block));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return cannot("read", "standard input", errno);
        if (first && n >= 8 && (memcmp(block, "PERFILE2", 8) == 0 || memcmp(block, "2ELIFREP", 8) == 0))
            return usage("this is perf's own file, not text: perf script -i FILE | pyannotate", "");
        first = false;
        if (n == 0)
            ann_finish(f);
        else
            ann_feed(f, block, (size_t)n);
        if (f->failed || f->out.failed) {
            fputs("pyannotate: no memory\n", stderr);
            return EXIT_FAILED;
        }
        int code = put(f, to, name);
        if (code != EXIT_OK || n == 0)
            return code;
    }
}

// What could not be done. Returns whether there was something that makes the result partial.
static bool report(const struct ann_counts *c, const struct options *o)
{
    unsigned long long samples = c->samples;
    if (c->unnamed)
        fprintf(stderr, "pyannotate: %llu of %llu samples are in Python code that perf has no names for\n"
                        "Start the program with -X perf (Python 3.12 or later), built with frame pointers "
                        "(python3 -m sysconfig | grep no-omit-frame-pointer), and record with -g.\n",
                (unsigned long long)c->unnamed, samples);
    else if (samples && !c->with_python)
        fputs("pyannotate: no sample has a Python function. They are known where the program was started with -X perf "
              "(Python 3.12 or later),\nis built with frame pointers, and was recorded with -g.\n", stderr);
    if (c->unknown_frames && !o->filter.python)
        fprintf(stderr, "pyannotate: %llu frames between Python functions have no symbol and are kept: "
                        "the interpreter's debug symbols are not installed\n", (unsigned long long)c->unknown_frames);
    if (o->filter.lines && c->lineless_frames)
        fprintf(stderr, "pyannotate: no line for %llu of %llu Python frames: perf's symbols of Python functions have none\n",
                (unsigned long long)c->lineless_frames, (unsigned long long)c->python_frames);
    if (c->cut)
        fprintf(stderr, "pyannotate: %llu samples have more than %d lines and were cut\n", (unsigned long long)c->cut, ANN_MAX_ROWS);
    if (c->strange_lines && o->filter.form != ANN_TEXT)
        fprintf(stderr, "pyannotate: %llu lines are not perf script's and were left out\n", (unsigned long long)c->strange_lines);
    if (samples == 0)
        fputs("pyannotate: no sample in standard input\n", stderr);
    return c->unnamed || c->cut || (c->strange_lines && o->filter.form != ANN_TEXT);
}

int main(int argc, char **argv)
{
    struct options options;
    int code = parse(argc, argv, &options);
    if (code >= 0)
        return code;
    if (isatty(STDIN_FILENO))
        return usage("nothing to read: perf script | pyannotate", "");
    const char *name = options.output && strcmp(options.output, "-") != 0 ? options.output : NULL;
    FILE *to = name ? fopen(name, "we") : stdout;
    if (!to)
        return cannot("write to", name, errno);
    struct ann_filter filter;
    if (ann_init(&filter, &options.filter)) {
        code = run(&filter, to, name ? name : "standard output");
    } else {
        fputs("pyannotate: no memory\n", stderr);
        code = EXIT_FAILED;
    }
    if (name && fclose(to) != 0 && code == EXIT_OK)
        code = cannot("write to", name, errno);
    if (code == EXIT_OK && report(&filter.counts, &options) && options.strict)
        code = EXIT_PARTIAL;
    ann_deinit(&filter);
    return code;
}
