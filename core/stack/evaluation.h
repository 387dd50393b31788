// SPDX-License-Identifier: Apache-2.0
/**
 * Which native functions evaluate Python frames.
 *
 * The exported _PyEval_EvalFrameDefault (3.6+) or PyEval_EvalFrameEx (up to 3.5), with symbols also its .cold
 * and .part pieces; what interp->eval_frame points to where no symbol is (3.6 to 3.10); and every function
 * that was seen to hold the struct of an evaluation: the loop of a stripped 3.15 has no symbol at all.
 */
#ifndef PYB_STACK_EVALUATION_H
#define PYB_STACK_EVALUATION_H
#include "stack/braid_internal.h"

enum pyb_evaluates pyb_evaluates(struct pyb_python *py, pyb_addr pc);
void pyb_learn_evaluator(struct pyb_python *py, pyb_addr pc);
/** The braid's questions, answered from the target. */
struct pyb_braid_env pyb_braid_env(struct pyb_python *py);
#endif
