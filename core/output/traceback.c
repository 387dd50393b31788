// SPDX-License-Identifier: Apache-2.0
// Python frames in the order and look of a Python traceback: most recent call last, co_name, no source lines.
#include "output/text.h"

void pyb_traceback_frame(struct pyb_text *t, const struct pyb_frame *f)
{
    if (f->kind == PYB_FRAME_GAP) {
        pyb_out_adds(&t->out, "  ");
        pyb_text_gap(t, f->note);
        return;
    }
    if (f->kind != PYB_FRAME_PYTHON)
        return;
    const char *name = f->func ? f->func : f->name;
    pyb_out_adds(&t->out, "  File \"");
    pyb_text_style(t, PYB_STYLE_PLACE);
    pyb_out_escaped(&t->out, f->file ? f->file : "?");
    pyb_text_plain(t);
    if (f->line >= 0)
        pyb_out_printf(&t->out, "\", line %d, in ", f->line);
    else
        pyb_out_adds(&t->out, "\", line ?, in ");
    pyb_text_style(t, PYB_STYLE_PYTHON);
    pyb_out_escaped(&t->out, name ? name : "?");
    pyb_text_plain(t);
    pyb_out_adds(&t->out, "\n");
}

void pyb_traceback(struct pyb_text *t, const struct pyb_thread *thread)
{
    uint32_t n = 0, end = thread->n_frames;
    for (uint32_t i = 0; i < thread->n_frames; i++) {
        n += thread->frames[i].kind == PYB_FRAME_PYTHON;
        if (t->limit && n == t->limit && end == thread->n_frames)
            end = i + 1;
    }
    pyb_text_style(t, PYB_STYLE_HEADER);
    pyb_out_adds(&t->out, "Traceback (most recent call last):");
    pyb_text_plain(t);
    pyb_out_adds(&t->out, "\n");
    if (t->limit && n > t->limit)
        pyb_out_printf(&t->out, "  (%u more frames)\n", n - t->limit);
    for (uint32_t i = end; i-- > 0 && !t->out.failed;)
        pyb_traceback_frame(t, &thread->frames[i]);
}
