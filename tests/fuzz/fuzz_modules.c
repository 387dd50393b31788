// SPDX-License-Identifier: Apache-2.0
// The modules of a recording, with the ELF parts that they carry.
#include "symbols/modules.h"
#include "use_elf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pyb_ctx ctx;
    pyb_ctx_init(&ctx, NULL);
    pyb_ctx_begin(&ctx);
    struct pyb_target t = {.ctx = &ctx};
    if (pyb_modules_from_saved(&t, data, size, &t.modules, NULL) != 0)
        return 0;
    struct pyb_symbol_hit hits[4];
    require(pyb_target_symbol(&t, "alpha", hits, 4) <= 4);
    for (size_t i = 0; i < pyb_modules_count(t.modules) && i < 4; i++) {
        struct pyb_module *mod = pyb_modules_at(t.modules, i);
        struct pyb_function f;
        struct pyb_elf *e;
        require(pyb_target_function(&t, mod->start + 0x100, &f) <= 0);
        if (pyb_module_elf(&t, mod, &e, NULL) == 0)
            use_elf(e);
    }
    struct pyb_buf again;
    pyb_buf_init(&again, &ctx, 64 << 20);
    require(pyb_modules_save(t.modules, &again) <= 0);
    pyb_buf_deinit(&again);
    pyb_modules_free(t.modules);
    return 0;
}
