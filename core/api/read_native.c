// SPDX-License-Identifier: Apache-2.0
#include <stddef.h>
#include <string.h>

#include "api/read.h"
#include "base/error.h"

#define MAX_STACKS 200000u
#define MAX_NATIVE_FRAMES 4000000u // of one stack

// The array's stride is the caller's sizeof.
static int copy_frames(struct pyb_reading *r, struct pyb_native_stack *stack, struct pyb_error *err)
{
    const char *from = (const char *)stack->frames;
    if (stack->n_frames == 0) {
        stack->frames = NULL;
        return 0;
    }
    if (!from || stack->n_frames > MAX_NATIVE_FRAMES)
        return pyb_fail(err, PYB_E_USAGE, "a native stack of %zu frames", stack->n_frames);
    size_t stride = stack->frames->size;
    if (stride < offsetof(struct pyb_native_frame, name))
        return pyb_fail(err, PYB_E_USAGE, "struct pyb_native_frame without its size");
    struct pyb_native_frame *copy = pyb_arena_array(&r->work, stack->n_frames, sizeof(*copy));
    if (!copy)
        return pyb_fail(err, PYB_E_NOMEM, "no memory for %zu native frames", stack->n_frames);
    for (size_t i = 0; i < stack->n_frames; i++, from += stride) {
        memcpy(&copy[i], from, stride < sizeof(*copy) ? stride : sizeof(*copy));
        copy[i].size = sizeof(*copy);
    }
    stack->frames = copy;
    return 0;
}

int pyb_native_copy(struct pyb_reading *r, const struct pyb_native_stack *native, size_t n,
                    struct pyb_error *err)
{
    const char *from = (const char *)native;
    r->n_native = 0;
    if (n == 0)
        return 0;
    if (!native || n > MAX_STACKS || native->size < offsetof(struct pyb_native_stack, truncated))
        return pyb_fail(err, PYB_E_USAGE, "struct pyb_native_stack without its size, or too many of them");
    struct pyb_native_stack *copy = pyb_arena_array(&r->work, n, sizeof(*copy));
    if (!copy)
        return pyb_fail(err, PYB_E_NOMEM, "no memory for %zu native stacks", n);
    size_t stride = native->size;
    for (size_t i = 0; i < n; i++, from += stride) {
        memcpy(&copy[i], from, stride < sizeof(*copy) ? stride : sizeof(*copy));
        copy[i].size = sizeof(*copy);
        int code = copy_frames(r, &copy[i], err);
        if (code != 0)
            return code;
    }
    r->native = copy;
    r->n_native = n;
    return 0;
}
