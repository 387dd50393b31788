// SPDX-License-Identifier: Apache-2.0
#include "stack/evaluation.h"

#include <string.h>

#include "interp/fields.h"
#include "stack/stack_cache.h"

static void add_range(struct pyb_stack_cache *c, pyb_addr start, pyb_addr end, bool part)
{
    for (uint32_t i = 0; i < c->n_evaluators; i++) {
        if (c->evaluators[i].start == start)
            return;
    }
    if (start < end && c->n_evaluators < PYB_MAX_EVALUATORS)
        c->evaluators[c->n_evaluators++] = (struct pyb_code_range){start, end, part};
}

static void add_function(struct pyb_stack_cache *c, pyb_addr at, uint64_t size)
{
    struct pyb_function f;
    if (pyb_target_function(c->py->target, at, &f) == 0 && f.fde_end > f.fde_start)
        add_range(c, f.fde_start, f.fde_end, false);
    else if (size > 0 && at + size > at)
        add_range(c, at, at + size, false);
}

// interp->eval_frame of the first interpreter; 0 where it is NULL (3.11 on: the default) or not to be had.
static pyb_addr eval_frame_pointer(struct pyb_python *py)
{
    pyb_addr interp, function;
    if (!pyb_has(py->layout.interp_eval_frame) ||
        pyb_read_ptr(py->target->mem, py->interp_head_at, &interp, NULL) != 0 ||
        pyb_field_ptr(py, interp, py->layout.interp_eval_frame, &function, NULL) != 0)
        return 0;
    return function;
}

static void look_up(struct pyb_stack_cache *c)
{
    struct pyb_symbol_hit hits[8];
    struct pyb_python *py = c->py;
    c->looked_up = true;
    c->evaluator = pyb_has(py->layout.interp_eval_frame) ? "_PyEval_EvalFrameDefault" : "PyEval_EvalFrameEx";
    size_t n = pyb_target_symbol(py->target, c->evaluator, hits, sizeof(hits) / sizeof(*hits));
    for (size_t i = 0; i < n && i < sizeof(hits) / sizeof(*hits); i++) {
        // Another libpython mapped beside it is not the one that runs.
        if (hits[i].module == py->module || (n == 1 && !hits[i].module))
            add_function(c, hits[i].addr, hits[i].size);
    }
    // A replaced eval_frame (a debugger's, a compiler's) calls the default one, which is the one that
    // evaluates.
    pyb_addr pointer = c->n_evaluators == 0 ? eval_frame_pointer(py) : 0;
    if (pointer != 0)
        add_function(c, pointer, 0);
}

// NAME.cold, NAME.cold.12, NAME.part.0, NAME.lto_priv.0: pieces and clones of one function.
static bool is_piece(const char *symbol, const char *name, bool *ret_part)
{
    size_t n = strlen(name);
    if (strncmp(symbol, name, n) != 0 || (symbol[n] != '.' && symbol[n] != '\0'))
        return false;
    *ret_part = strstr(symbol + n, ".part") && !strstr(symbol + n, ".cold");
    return true;
}

static enum pyb_evaluates classify(struct pyb_stack_cache *c, pyb_addr pc)
{
    for (uint32_t i = 0; i < c->n_evaluators; i++) {
        if (pc >= c->evaluators[i].start && pc < c->evaluators[i].end)
            return c->evaluators[i].part ? PYB_EVALUATES_PART : PYB_EVALUATES;
    }
    struct pyb_function f;
    bool part;
    if (pyb_target_function(c->py->target, pc, &f) != 0 || !f.symbol || f.module != c->py->module ||
        !is_piece(f.symbol, c->evaluator, &part))
        return PYB_EVALUATES_NOT;
    add_range(c, f.fde_start, f.fde_end, part);
    return part ? PYB_EVALUATES_PART : PYB_EVALUATES;
}

enum pyb_evaluates pyb_evaluates(struct pyb_python *py, pyb_addr pc)
{
    struct pyb_stack_cache *c = pyb_stack_cache(py);
    if (!c)
        return PYB_EVALUATES_NOT;
    if (!c->looked_up)
        look_up(c);
    if (c->evaluates_for != c->n_evaluators) {
        pyb_map_clear(&c->evaluates);
        c->evaluates_for = c->n_evaluators;
    }
    uintptr_t known;
    if (pyb_map_get(&c->evaluates, pc, &known))
        return (enum pyb_evaluates)known;
    enum pyb_evaluates answer = classify(c, pc);
    (void)pyb_map_put(&c->evaluates, pc, (uintptr_t)answer); // no memory: asked again next time
    return answer;
}

void pyb_learn_evaluator(struct pyb_python *py, pyb_addr pc)
{
    struct pyb_stack_cache *c = pyb_stack_cache(py);
    struct pyb_function f;
    if (!c || pyb_evaluates(py, pc) != PYB_EVALUATES_NOT)
        return;
    if (pyb_target_function(py->target, pc, &f) == 0 && f.module == py->module && f.fde_end > f.fde_start)
        add_range(c, f.fde_start, f.fde_end, false);
}

bool pyb_is_evaluation_pc(struct pyb_python *py, pyb_addr pc)
{
    return pyb_evaluates(py, pc) != PYB_EVALUATES_NOT;
}

static enum pyb_evaluates env_evaluates(void *ctx, pyb_addr pc)
{
    return pyb_evaluates(ctx, pc);
}

static void env_learn(void *ctx, pyb_addr pc)
{
    pyb_learn_evaluator(ctx, pc);
}

static bool env_foreign(void *ctx, pyb_addr pc)
{
    struct pyb_python *py = ctx;
    const struct pyb_module *m = py->target->modules ? pyb_modules_find(py->target->modules, pc) : NULL;
    return m && py->module && m != py->module;
}

static pyb_addr env_mapping_end(void *ctx, pyb_addr addr)
{
    struct pyb_python *py = ctx;
    const struct pyb_mapping *m = py->target->modules ? pyb_modules_mapping(py->target->modules, addr) : NULL;
    return m ? m->end : 0;
}

static size_t env_read(void *ctx, pyb_addr addr, void *buf, size_t len)
{
    struct pyb_python *py = ctx;
    size_t done = 0;
    return pyb_read_some(py->target->mem, addr, buf, len, &done, NULL) == 0 ? done : 0;
}

struct pyb_braid_env pyb_braid_env(struct pyb_python *py)
{
    return (struct pyb_braid_env){
        .ctx = py,
        .evaluates = env_evaluates,
        .learn = env_learn,
        .foreign = env_foreign,
        .mapping_end = env_mapping_end,
        .read = env_read,
        .ptr_size = py->target->mem->ptr_size,
        .big_endian = py->target->mem->big_endian,
    };
}

int pyb_braid(struct pyb_python *py, const struct pyb_braid_input *in, struct pyb_arena *arena,
              struct pyb_braid *ret,
              struct pyb_error *err)
{
    struct pyb_braid_env env = pyb_braid_env(py);
    return pyb_braid_with(&env, in, arena, ret, err);
}
