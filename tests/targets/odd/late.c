// SPDX-License-Identifier: Apache-2.0
// late LIBPYTHON SCRIPT ARGUMENT...: no Python at all until a line comes on stdin; then libpython by dlopen(), and the script.
#include <dlfcn.h>
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    char line[16];
    if (argc < 3)
        return 2;
    (void)!write(1, "LATE\n", 5);
    if (read(0, line, sizeof(line)) <= 0)
        return 0;
    void *library = dlopen(argv[1], RTLD_NOW | RTLD_GLOBAL);
    if (!library) {
        fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    int (*bytes_main)(int, char **) = (int (*)(int, char **))dlsym(library, "Py_BytesMain");
    return bytes_main ? bytes_main(argc - 1, argv + 1) : 1;
}
