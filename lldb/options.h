// SPDX-License-Identifier: Apache-2.0
/**
 * Options of `pystack` and its subcommands: `-a`, `--all`, unique abbreviations, `-al`, `-n 5`, `--limit=5`; the rest are words.
 *
 * LLDB's SB API hands plug-ins the words of the line and has no option tables for them.
 */
#ifndef PYBRAID_LLDB_OPTIONS_H
#define PYBRAID_LLDB_OPTIONS_H
#include <cstdint>
#include <string>
#include <vector>

enum Option : uint32_t {
    OPTION_ALL = 1,
    OPTION_PYTHON = 2,
    OPTION_LOCALS = 4,
    OPTION_VERBOSE = 8,
    OPTION_JSON = 16,
    OPTION_TRACEBACK = 32,
    OPTION_LIMIT = 64,
    OPTION_OUTPUT = 128,
};

struct Options {
    uint32_t given = 0; // enum Option
    uint32_t limit = 0; // 0: all frames
    std::string output;
    std::vector<std::string> words;
};

/** Takes the words (NULL-terminated, may be NULL) apart; false: `error` says what is wrong. `known`: options this command has. */
bool parse_options(char **words, uint32_t known, Options &ret, std::string &error);
/** A whole number above 0 (or from 0 on, with `zero`). */
bool parse_count(const std::string &text, bool zero, uint32_t &ret);
/** One line of help for each of `known`. */
std::string options_help(uint32_t known);

#endif
