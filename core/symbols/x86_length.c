// SPDX-License-Identifier: Apache-2.0
#include "symbols/x86_length.h"

#include <stdbool.h>
#include <string.h>

#define MAX_LENGTH 15u

// What follows an opcode. One character each:
//   . nothing   m ModRM   b imm8   z imm16/32   w imm16   B ModRM, imm8   Z ModRM, imm16/32   j rel32
//   q imm as wide as the operand   o address   e imm16, imm8   t group 3: TEST has an immediate   x none such
static const char one_byte[] =
    "mmmmbzxxmmmmbzxx" "mmmmbzxxmmmmbzxx" "mmmmbzxxmmmmbzxx" "mmmmbzxxmmmmbzxx"
    "xxxxxxxxxxxxxxxx" "................" "xxxmxxxxzZbB...." "bbbbbbbbbbbbbbbb"
    "BZxBmmmmmmmmmmmm" "..........x....." "oooo....bz......" "bbbbbbbbqqqqqqqq"
    "BBw.xxBZe.w..bx." "mmmmxxx.mmmmmmmm" "bbbbbbbbjjxb...." "x.xx..tt......mm";
static const char two_bytes[] = // 0f xx
    "mmmmx.....x.xm.B" "mmmmmmmmmmmmmmmm" "mmmmxxxxmmmmmmmm" "......x.xxxxxxxx"
    "mmmmmmmmmmmmmmmm" "mmmmmmmmmmmmmmmm" "mmmmmmmmmmmmmmmm" "BBBBmmm.mmmmmmmm"
    "jjjjjjjjjjjjjjjj" "mmmmmmmmmmmmmmmm" "...mBmxx...mBmmm" "mmmmmmmmmmBmmmmm"
    "mmBmBBBm........" "mmmmmmmmmmmmmmmm" "mmmmmmmmmmmmmmmm" "mmmmmmmmmmmmmmmm";

struct prefixes {
    bool operand16, address32, wide; // 66, 67, REX.W
};

// ModRM, SIB and displacement; 0: cut.
static size_t modrm_length(const uint8_t *p, size_t n)
{
    if (n == 0)
        return 0;
    uint8_t mod = p[0] >> 6, rm = p[0] & 7;
    if (mod == 3)
        return 1;
    bool sib = rm == 4;
    if (sib && n < 2)
        return 0;
    bool no_base = mod == 0 && (sib ? (p[1] & 7) == 5 : rm == 5);
    return 1u + sib + (mod == 1 ? 1u : mod == 2 || no_base ? 4u : 0u);
}

static size_t immediate_length(char kind, const struct prefixes *x, const uint8_t *modrm)
{
    size_t z = x->operand16 && !x->wide ? 2 : 4;
    switch (kind) {
    case 'b': case 'B': return 1;
    case 'z': case 'Z': return z;
    case 'w': return 2;
    case 'e': return 3;
    case 'j': return 4;
    case 'q': return x->wide ? 8 : z;
    case 'o': return x->address32 ? 4 : 8;
    case 't': return (modrm[0] & 0x38) > 0x08 ? 0 : modrm[-1] & 1 ? z : 1;
    default: return 0;
    }
}

static size_t finish(const uint8_t *code, size_t n, size_t at, char kind, const struct prefixes *x)
{
    if (kind == 'x' || kind == '\0')
        return 0;
    size_t modrm = at;
    if (strchr("mBZt", kind)) {
        size_t len = modrm_length(code + at, n - at);
        if (len == 0)
            return 0;
        at += len;
    }
    at += immediate_length(kind, x, code + modrm);
    return at <= n && at <= MAX_LENGTH ? at : 0;
}

// VEX and EVEX name the opcode map; all of their instructions but vzeroupper have a ModRM.
static size_t vector_length(const uint8_t *code, size_t n, size_t at, const struct prefixes *x)
{
    size_t head = code[at] == 0xc5 ? 2 : code[at] == 0xc4 ? 3 : 4;
    if (n - at <= head)
        return 0;
    unsigned map = code[at] == 0xc5 ? 1u : code[at] == 0xc4 ? code[at + 1] & 0x1fu : code[at + 1] & 7u;
    uint8_t opcode = code[at + head];
    char kind = map == 3 ? 'B' : map == 1 ? two_bytes[opcode] : map == 2 || map == 5 || map == 6 ? 'm' : 'x';
    return finish(code, n, at + head + 1, kind == 'j' ? 'm' : kind, x);
}

static size_t escaped_length(const uint8_t *code, size_t n, size_t at, const struct prefixes *x)
{
    if (at >= n)
        return 0;
    uint8_t opcode = code[at];
    if (opcode == 0x38 || opcode == 0x3a)
        return at + 1 < n ? finish(code, n, at + 2, opcode == 0x3a ? 'B' : 'm', x) : 0;
    return finish(code, n, at + 1, two_bytes[opcode], x);
}

static bool is_prefix(uint8_t byte)
{
    switch (byte) {
    case 0x26: case 0x2e: case 0x36: case 0x3e: case 0x64: case 0x65: case 0x66: case 0x67:
    case 0xf0: case 0xf2: case 0xf3:
        return true;
    default:
        return false;
    }
}

size_t pyb_x86_64_length(const uint8_t *code, size_t n)
{
    struct prefixes x = {0};
    size_t at = 0;
    if (n > MAX_LENGTH)
        n = MAX_LENGTH;
    for (; at < n && is_prefix(code[at]); at++) {
        x.operand16 |= code[at] == 0x66;
        x.address32 |= code[at] == 0x67;
    }
    if (at < n && (code[at] & 0xf0) == 0x40)
        x.wide = code[at++] & 8;
    if (at >= n)
        return 0;
    uint8_t opcode = code[at];
    if (opcode == 0x62 || opcode == 0xc4 || opcode == 0xc5)
        return vector_length(code, n, at, &x);
    if (opcode == 0x8f && at + 1 < n && (code[at + 1] & 0x38) != 0)
        return 0; // not POP: AMD's XOP, which no processor has any more
    return opcode == 0x0f ? escaped_length(code, n, at + 1, &x) : finish(code, n, at + 1, one_byte[opcode], &x);
}
