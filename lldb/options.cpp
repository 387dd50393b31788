// SPDX-License-Identifier: Apache-2.0
#include "options.h"

#include <cstring>

namespace {

struct Row {
    Option option;
    char letter; // '\0': none
    const char *name;
    const char *value; // NULL: takes none
    const char *help;
};

const Row rows[] = {
    {OPTION_ALL, 'a', "all", nullptr, "the interpreter's own plumbing frames too"},
    {OPTION_PYTHON, 'p', "python", nullptr, "Python frames only"},
    {OPTION_LOCALS, 'l', "locals", nullptr, "with the arguments and locals of each Python frame"},
    {OPTION_VERBOSE, 'v', "verbose", nullptr, "addresses, and the attributes of instances"},
    {OPTION_JSON, '\0', "json", nullptr, "one JSON document, schema 1"},
    {OPTION_TRACEBACK, '\0', "traceback", nullptr, "order and look of a Python traceback, Python frames only"},
    {OPTION_LIMIT, 'n', "limit", "N", "at most N frames"},
    {OPTION_OUTPUT, 'o', "output", "FILE", "write to a file"},
};

struct Parser {
    char **next;
    uint32_t known;
    Options &ret;
    std::string &error;

    bool unknown(const std::string &word, bool ambiguous)
    {
        error = (ambiguous ? "ambiguous option: " : "unknown option: ") + word;
        if (known != 0)
            error += "\n" + options_help(known);
        return false;
    }

    bool take(const Row &row, const char *value)
    {
        ret.given |= row.option;
        if (!row.value)
            return true;
        if (!value || !*value)
            value = *next ? *next++ : nullptr;
        if (!value) {
            error = std::string("--") + row.name + " needs a value: " + row.value;
            return false;
        }
        if (row.option == OPTION_OUTPUT) {
            ret.output = value;
            return true;
        }
        if (parse_count(value, false, ret.limit))
            return true;
        error = std::string("--limit must be a whole number above 0, not '") + value + "'";
        return false;
    }

    bool long_option(const std::string &word)
    {
        const size_t equals = word.find('=');
        const std::string name = word.substr(2, equals == std::string::npos ? equals : equals - 2);
        const Row *found = nullptr;
        for (const Row &row : rows) {
            if (!(row.option & known) || std::strncmp(row.name, name.c_str(), name.size()) != 0)
                continue;
            if (found)
                return unknown(word, true);
            found = &row;
        }
        if (!found || (equals != std::string::npos && !found->value))
            return unknown(word, false);
        return take(*found, equals == std::string::npos ? nullptr : word.c_str() + equals + 1);
    }

    bool letters(const char *word)
    {
        for (const char *p = word + 1; *p; p++) {
            const Row *found = nullptr;
            for (const Row &row : rows)
                found = (row.option & known) && row.letter == *p ? &row : found;
            if (!found)
                return unknown(std::string("-") + *p, false);
            if (found->value)
                return take(*found, p + 1);
            ret.given |= found->option;
        }
        return true;
    }
};

} // namespace

bool parse_count(const std::string &text, bool zero, uint32_t &ret)
{
    if (text.empty() || text.size() > 9 || text.find_first_not_of("0123456789") != std::string::npos)
        return false;
    ret = static_cast<uint32_t>(std::stoul(text));
    return zero || ret > 0;
}

bool parse_options(char **words, uint32_t known, Options &ret, std::string &error)
{
    char *none[] = {nullptr};
    Parser parser = {words ? words : none, known, ret, error};
    bool only_words = false;
    while (*parser.next) {
        const char *word = *parser.next++;
        if (only_words || word[0] != '-' || word[1] == '\0')
            ret.words.push_back(word);
        else if (std::strcmp(word, "--") == 0)
            only_words = true;
        else if (!(word[1] == '-' ? parser.long_option(word) : parser.letters(word)))
            return false;
    }
    return true;
}

std::string options_help(uint32_t known)
{
    std::string text;
    for (const Row &row : rows) {
        if (!(row.option & known))
            continue;
        const std::string value = row.value ? std::string(" ") + row.value : "";
        text += row.letter ? std::string("  -") + row.letter + value + ", " : "  ";
        text += std::string("--") + row.name + value + "\n    " + row.help + ".\n";
    }
    return text;
}
