// SPDX-License-Identifier: Apache-2.0
// The text of /proc/PID/maps.
#include <stdlib.h>
#include <string.h>

#include "symbols/maps.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    size_t pos = 0, last = 0, lines = 0;
    struct pyb_maps_line line;
    int rc;
    while ((rc = pyb_maps_next(text, size, &pos, &line)) != 0) {
        require(pos > last && pos <= size && ++lines <= size);
        last = pos;
        if (rc < 0)
            continue;
        require(line.start < line.end && line.path >= text && line.path + line.path_len < text + size);
        require(!memchr(line.path, '\n', line.path_len));
        bool deleted;
        size_t len = pyb_maps_strip_deleted(line.path, line.path_len, &deleted);
        require(deleted == (len < line.path_len));
        char *copy = malloc(len + 1);
        require(copy != NULL);
        memcpy(copy, line.path, len);
        require(pyb_maps_unescape(copy, len) <= len);
        free(copy);
    }
    return 0;
}
