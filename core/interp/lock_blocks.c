// SPDX-License-Identifier: Apache-2.0
#include "interp/lock_blocks.h"

#include "interp/string_header.h"

#define MAX_TABLE 65536u    // bytes of an exception table
#define MAX_BYTECODE 262144u
#define MAX_BLOCKS 20       // CO_MAXBLOCKS, Include/code.h
#define BLOCK_SIZE 12       // PyTryBlock: type, handler, level

enum { SETUP_WITH = 143, HAVE_ARGUMENT = 90, EXTENDED_ARG_27 = 145, EXTENDED_ARG_36 = 144 }; // Include/opcode.h

// Six bits a byte, the highest first; bit 6: more follow. Bit 7 marks the first byte of an entry.
static bool varint(const uint8_t *table, size_t len, size_t *at, uint32_t *ret)
{
    *ret = 0;
    for (int i = 0; i < 5 && *at < len; i++) {
        const uint8_t byte = table[(*at)++];
        *ret = *ret << 6 | (byte & 0x3f);
        if (!(byte & 0x40))
            return *ret < UINT32_C(1) << 28;
    }
    return false;
}

bool pyb_exception_entry_next(const uint8_t *table, size_t len, size_t *at, struct pyb_exception_entry *ret)
{
    uint32_t start, size, target, depth;
    if (*at >= len || !varint(table, len, at, &start) || !varint(table, len, at, &size) || !varint(table, len, at, &target) ||
        !varint(table, len, at, &depth))
        return false;
    *ret = (struct pyb_exception_entry){.start = 2 * start, .end = 2 * (start + size), .target = 2 * target, .depth = depth >> 1,
                                        .lasti = (depth & 1) != 0};
    return true;
}

int32_t pyb_setup_with_at(int major, int minor, const uint8_t *bytecode, size_t len, int32_t handler)
{
    const bool words = major == 3 && minor >= 6;
    int64_t extended = 0;
    if (handler < 0)
        return -1;
    for (size_t at = 0; at < len;) {
        const size_t size = words ? 2 : bytecode[at] >= HAVE_ARGUMENT ? 3 : 1;
        const uint8_t opcode = bytecode[at];
        if (at + size > len)
            return -1;
        int64_t argument = words ? bytecode[at + 1] : size == 3 ? bytecode[at + 1] | bytecode[at + 2] << 8 : 0;
        argument |= extended << (words ? 8 : 16);
        const int64_t next = (int64_t)(at + size);
        const int64_t target = words && minor >= 10 ? next / 2 + argument : next + argument;
        if (opcode == SETUP_WITH && target == handler)
            return (int32_t)at;
        extended = opcode == (words ? EXTENDED_ARG_36 : EXTENDED_ARG_27) && argument < INT32_MAX ? argument : 0;
        at += size;
    }
    return -1;
}

struct blocks {
    int32_t n;
    int32_t handler[MAX_BLOCKS], level[MAX_BLOCKS];
};

// f_blockstack has no column of its own: it follows the last of the small members in front of it, aligned to an int.
static bool read_blocks(struct pyb_python *py, const struct pyb_pyframe *frame, struct blocks *ret)
{
    const struct pyb_layout *l = &py->layout;
    const struct pyb_field before[] = {l->frame_iblock, l->frame_executing, l->frame_state};
    uint8_t raw[MAX_BLOCKS * BLOCK_SIZE];
    uint64_t at = 0, n;
    for (size_t i = 0; i < 3; i++) {
        if (pyb_has(before[i]) && (uint64_t)before[i].offset + before[i].width > at)
            at = (uint64_t)before[i].offset + before[i].width;
    }
    at = (at + 3) / 4 * 4;
    if (!pyb_has(l->frame_iblock) || !pyb_has(l->frame_localsplus) || at + sizeof raw > (uint64_t)l->frame_localsplus.offset ||
        pyb_field_uint(py, frame->addr, l->frame_iblock, &n, NULL) != 0 || n > MAX_BLOCKS ||
        pyb_read_bytes(py->target->mem, frame->addr + at, raw, sizeof raw, NULL) != 0)
        return false;
    struct pyb_bytes b = pyb_memory_bytes(py->target->mem, raw, sizeof raw);
    ret->n = (int32_t)n;
    for (size_t i = 0; i < n; i++) {
        ret->handler[i] = (int32_t)pyb_get_int(&b, i * BLOCK_SIZE + 4, 4);
        ret->level[i] = (int32_t)pyb_get_int(&b, i * BLOCK_SIZE + 8, 4);
    }
    return true;
}

// The innermost block is the deepest: levels never fall.
static int32_t depth_of_blocks(struct pyb_python *py, const struct pyb_pyframe *frame)
{
    struct blocks blocks;
    if (!read_blocks(py, frame, &blocks))
        return -1;
    for (int32_t i = 1; i < blocks.n; i++) {
        if (blocks.level[i] < blocks.level[i - 1])
            return -1;
    }
    return blocks.n ? blocks.level[blocks.n - 1] : 0;
}

static int32_t line_of_block(struct pyb_python *py, const struct pyb_pyframe *frame, const struct pyb_code *code, uint32_t depth)
{
    struct blocks blocks;
    struct pyb_position position = {.line = -1};
    const size_t len = code->code_size < MAX_BYTECODE ? (size_t)code->code_size : MAX_BYTECODE;
    if (!read_blocks(py, frame, &blocks))
        return -1;
    for (int32_t i = 0; i < blocks.n; i++) {
        if (blocks.level[i] != (int32_t)depth)
            continue;
        uint8_t *bytecode = pyb_alloc(py->target->ctx, len + 1);
        int32_t at = -1;
        if (bytecode && pyb_read_bytes(py->target->mem, code->bytecode, bytecode, len, NULL) == 0)
            at = pyb_setup_with_at(py->major, py->minor, bytecode, len, blocks.handler[i]);
        pyb_free(py->target->ctx, bytecode);
        if (at >= 0 && pyb_code_position(py, code, at, &position, NULL) == 0)
            return position.line;
    }
    return -1;
}

// NULL: there is none. The caller frees it.
static uint8_t *read_table(struct pyb_python *py, const struct pyb_code *code, size_t *ret_len)
{
    struct pyb_str table;
    pyb_addr object;
    if (pyb_field_ptr(py, code->addr, py->layout.code_exceptiontable, &object, NULL) != 0 ||
        pyb_bytes_header(py, object, &table, NULL) != 0 || table.length == 0 || table.length > MAX_TABLE)
        return NULL;
    uint8_t *data = pyb_alloc(py->target->ctx, (size_t)table.length);
    if (data && pyb_read_bytes(py->target->mem, table.data, data, (size_t)table.length, NULL) != 0) {
        pyb_free(py->target->ctx, data);
        return NULL;
    }
    *ret_len = (size_t)table.length;
    return data;
}

// The entry that decides: that of the instruction itself, or, of those in front of it, the last with this depth that keeps its place.
static bool find_entry(struct pyb_python *py, const struct pyb_pyframe *frame, const struct pyb_code *code, int64_t depth,
                       struct pyb_exception_entry *ret)
{
    size_t len = 0, at = 0;
    uint8_t *table = frame->lasti >= 0 ? read_table(py, code, &len) : NULL;
    struct pyb_exception_entry e;
    const uint32_t lasti = (uint32_t)frame->lasti;
    bool found = false;
    while (table && pyb_exception_entry_next(table, len, &at, &e)) {
        const bool fits = depth < 0 ? lasti >= e.start && lasti < e.end : e.start <= lasti && e.lasti && e.depth == (uint64_t)depth;
        if (fits && (!found || e.start >= ret->start)) {
            *ret = e;
            found = true;
        }
    }
    pyb_free(py->target->ctx, table);
    return found;
}

int32_t pyb_blocks_depth(struct pyb_python *py, const struct pyb_pyframe *frame, const struct pyb_code *code)
{
    struct pyb_exception_entry e;
    if (py->layout.walker == PYB_WALKER_FRAMEOBJECT)
        return depth_of_blocks(py, frame);
    return find_entry(py, frame, code, -1, &e) ? (int32_t)e.depth : 0;
}

// The instructions of the handler have the with statement's line.
int32_t pyb_with_line(struct pyb_python *py, const struct pyb_pyframe *frame, const struct pyb_code *code, uint32_t depth)
{
    struct pyb_exception_entry e;
    struct pyb_position position;
    if (py->layout.walker == PYB_WALKER_FRAMEOBJECT)
        return line_of_block(py, frame, code, depth);
    if (!find_entry(py, frame, code, depth, &e) || e.target >= code->code_size ||
        pyb_code_position(py, code, (int32_t)e.target, &position, NULL) != 0)
        return -1;
    return position.line;
}
