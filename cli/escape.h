// SPDX-License-Identifier: Apache-2.0
/**
 * Foreign text (command lines, paths, names of the target) as part of our output: it is one line, cannot drive a terminal, and is valid UTF-8.
 * What is not becomes \xNN, \uNNNN, as the library writes it.
 */
#ifndef CLI_ESCAPE_H
#define CLI_ESCAPE_H
#include "cli.h"

/** For people. At most `columns` columns, one for each character or escaped character; what is cut ends with "..". 0: no limit. Returns the columns. */
size_t cli_escaped(struct cli_out *o, const char *text, size_t columns);
/** Columns that cli_escaped() takes without a limit. */
size_t cli_width(const char *text);
/** With quotes; NULL: null. */
void cli_json_string(struct cli_out *o, const char *text);
/** `"key": "text"`, and a comma before it unless *first, which it clears. */
void cli_json_member(struct cli_out *o, bool *first, const char *key, const char *text);
#endif
